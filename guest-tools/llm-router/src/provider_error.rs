//! A provider's answer that is an error, whatever its form and its status: the one place
//! that decides what a client and an agent are told of it.
//!
//! The provider's words and its other fields pass. The credential is called bad only where
//! the answer says so.

use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::words::{self, Words};
use serde_json::{Map, Value, json};
use trusted_tool::answer::Incoming;
use trusted_tool::credential::Credential;
use trusted_tool::{ToolError, tool_error, wait};

/// How much of an error's body is looked at, in bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// Longer than this, in bytes, only the words of an error pass, and not its other fields.
const MAX_FIELDS_BYTES: usize = 64 * 1024;
/// How much of a provider's own words an agent's error repeats.
const MAX_SAID_CHARS: usize = 300;

/// What a provider answered instead of a completion.
#[derive(Debug)]
pub struct ProviderError {
    provider: &'static Provider,
    /// The status that the answer had, or that an error under a success names.
    status: u16,
    content_type: String,
    words: Words,
    is_long: bool,
    wait_ms: Option<u64>,
    /// Headers that a client may have.
    passed: Vec<(String, Vec<u8>)>,
    /// Set where the credential is refused.
    auth: Option<ToolError>,
}

impl ProviderError {
    /// Reads an answer whose status is no success.
    pub fn read(
        provider: &'static Provider,
        credential: &Credential,
        mut response: Incoming,
    ) -> Self {
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BYTES {
            match response.next_piece() {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                _ => break,
            }
        }
        body.truncate(MAX_ERROR_BYTES);
        Self::new(
            provider,
            credential,
            response.status,
            response.headers(),
            &body,
        )
    }

    /// The error that a body is, under whatever status it came.
    pub fn new(
        provider: &'static Provider,
        credential: &Credential,
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Self {
        let mut error = Self::parsed(provider, status, headers, body);
        if error.blames_the_key() {
            error.auth = Some(error.refused(credential));
        }
        error
    }

    fn parsed(
        provider: &'static Provider,
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Self {
        let content_type = content_type(headers);
        let words = words::read(&content_type, body);
        let status = match status {
            200..=299 => status_inside(&words.json),
            status => status,
        };
        let mut error = Self {
            provider,
            status,
            content_type,
            is_long: body.len() > MAX_FIELDS_BYTES,
            wait_ms: None,
            passed: headers
                .iter()
                .filter(|(name, _)| passes(name))
                .cloned()
                .collect(),
            auth: None,
            words,
        };
        error.wait_ms = error.wait_of(headers);
        error
    }

    /// How long the provider wants to be left alone, where it says so and it is to be believed.
    pub fn wait_ms(&self) -> Option<u64> {
        self.wait_ms
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What an agent is told.
    pub fn tool_error(&self) -> ToolError {
        if let Some(refused) = &self.auth {
            return refused.clone();
        }
        let Self {
            provider, status, ..
        } = self;
        let said = match self.said() {
            Some(said) => format!(", {said:?}"),
            None => String::new(),
        };
        let advice = match (status, self.wait_ms) {
            (300..=399, _) => return self.redirected(),
            (_, Some(ms)) if self.is_passing() => format!("try again in {}", wait::shown(ms)),
            (429, _) if self.is_used_up() => {
                "its quota is used up; the app's owner can raise it at the provider".to_owned()
            }
            _ if self.is_passing() => "try again later".to_owned(),
            (400 | 404 | 413 | 422, _) => "change the input".to_owned(),
            _ => "the provider's words say why".to_owned(),
        };
        let shown = provider.shown;
        tool_error(
            "upstream_error",
            format!("{shown} answered with an error (HTTP {status}{said}): {advice}"),
        )
    }

    /// What a client over HTTP is told, and the headers that go with it.
    pub fn refusal(&self) -> (Refusal, Vec<(String, Vec<u8>)>) {
        let mut headers = self.passed.clone();
        if let Some(ms) = self.wait_ms {
            headers.retain(|(name, _)| !name.starts_with("retry-after"));
            let mut say = |name: &str, value: u64| {
                headers.push((name.to_owned(), value.to_string().into_bytes()));
            };
            say("retry-after", ms.div_ceil(1_000));
            say("retry-after-ms", ms);
        }
        if let Some(refused) = &self.auth {
            return (refused.clone().into(), headers);
        }
        let status = match self.status {
            // The client's own key is not meant.
            401 | 407 => 502,
            status @ 400..=599 => status,
            _ => 502,
        };
        let mut refusal = Refusal::from(tool_error("upstream_error", self.message()));
        refusal.status = status;
        refusal.can_retry = true;
        if let Some(error) = self.object() {
            let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
            let number = error.get("code").filter(|code| code.is_number());
            let code = text("code")
                .or_else(|| text("status"))
                .or(number.map(Value::to_string));
            refusal.code = code.unwrap_or(refusal.code);
            refusal.kind = text("type");
            refusal.param = text("param");
        }
        if !self.is_long {
            refusal.beside = self.words.json.as_object().cloned().unwrap_or_default();
            let is_apart = self.object().map(std::ptr::from_ref)
                != self.words.json.as_object().map(std::ptr::from_ref);
            if let Some(error) = self.object().filter(|_| is_apart) {
                refusal.within = error.clone();
            }
        }
        (refusal, headers)
    }

    fn message(&self) -> String {
        let Self {
            provider,
            status,
            words,
            ..
        } = self;
        let shown = provider.shown;
        if (300..=399).contains(status) {
            return self.redirected().message;
        }
        match (&words.message, &words.json) {
            (Some(message), json) if !json.is_null() => message.clone(),
            (None, json) if !json.is_null() => {
                format!("{shown} answered with an error (HTTP {status}) that says nothing")
            }
            (message, _) => unreadable(shown, *status, &self.content_type, message.as_deref()),
        }
    }

    fn said(&self) -> Option<String> {
        let message = self.words.message.as_ref()?;
        Some(message.chars().take(MAX_SAID_CHARS).collect())
    }

    fn redirected(&self) -> ToolError {
        let Self {
            provider, status, ..
        } = self;
        let place = match provider.has_key() {
            true => format!("the operator must correct {}_base_url", provider.name),
            false => format!(
                "the app's owner must correct secret \"{}\"",
                provider.secret
            ),
        };
        tool_error(
            "upstream_error",
            format!(
                "{} answered HTTP {status}; redirects are not followed, {place}",
                provider.shown
            ),
        )
    }

    fn refused(&self, credential: &Credential) -> ToolError {
        let Self {
            provider, status, ..
        } = self;
        let said = match self.said() {
            Some(said) => format!(", {:?}", credential.hidden_in(&said)),
            None => String::new(),
        };
        let Provider { shown, secret, .. } = provider;
        if !provider.has_key() {
            return tool_error(
                "upstream_auth",
                format!(
                    "{shown} wants a credential (HTTP {status}{said}), and has none: secret \"{secret}\" is its address alone"
                ),
            );
        }
        tool_error(
            "upstream_auth",
            format!(
                "{shown} refused the credential in secret \"{secret}\" (HTTP {status}{said}); \
                 the app's owner must store a valid one{}",
                credential.oddity()
            ),
        )
    }

    fn object(&self) -> Option<&Map<String, Value>> {
        words::error_object(&self.words.json)
    }

    /// Whether the same request can go well later.
    fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 409 | 425 | 429 | 500..=599) && !self.is_used_up()
    }

    /// Whether waiting does not help, or not for as long as the answer says: the account has
    /// no credit, or the day's quota is gone, for which Gemini names a wait of seconds.
    fn is_used_up(&self) -> bool {
        const SIGNS: [&str; 4] = [
            "insufficient_quota",
            "billing_hard_limit",
            "PerDay",
            "credit_balance",
        ];
        let Some(error) = self.object().filter(|_| !self.is_long) else {
            return false;
        };
        let text = Value::from(error.clone()).to_string();
        SIGNS.iter().any(|sign| text.contains(sign))
    }

    fn wait_of(&self, headers: &[(String, Vec<u8>)]) -> Option<u64> {
        let is_told = matches!(self.status, 429 | 500..=599);
        if !is_told || self.is_used_up() {
            return None;
        }
        let in_words = || wait::in_words(self.words.message.as_ref()?);
        // Limits of an answer that is no 429 are those of other requests.
        let of_limits = || wait::from_headers(headers).filter(|_| self.status == 429);
        wait::retry_after(headers)
            .or_else(|| self.wait_in_fields(headers))
            .or_else(in_words)
            .or_else(of_limits)
    }

    /// What the error's own fields say: Gemini's `RetryInfo`, OpenRouter's headers of the
    /// provider behind it, and the names that others use.
    fn wait_in_fields(&self, of_answer: &[(String, Vec<u8>)]) -> Option<u64> {
        let error = self.object()?;
        let details = error.get("details").and_then(Value::as_array);
        let of_details = details
            .into_iter()
            .flatten()
            .find_map(|detail| wait::duration(detail.get("retryDelay")?.as_str()?));
        let metadata = error.get("metadata").and_then(Value::as_object);
        let named = |object: &Map<String, Value>| {
            let number = |name: &str| {
                let value = object.get(name)?;
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                wait::moment(&text, None)
            };
            let ms = ["retry_after_ms", "retryAfterMs"]
                .into_iter()
                .find_map(number);
            let secs = [
                "retry_after",
                "retryAfter",
                "retry_after_seconds",
                "retry-after",
            ];
            ms.map(|ms| ms / 1_000)
                .or_else(|| secs.into_iter().find_map(number))
        };
        let headers = metadata
            .and_then(|it| it.get("headers")?.as_object())
            .map(|headers| {
                let text = |value: &Value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                };
                let mut headers: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), text(value).into_bytes()))
                    .collect();
                headers.extend(of_answer.iter().filter(|(name, _)| name == "date").cloned());
                headers
            });
        of_details
            .or_else(|| named(error))
            .or_else(|| metadata.and_then(named))
            .or_else(|| wait::from_headers(&headers?))
    }

    /// Whether it is the credential that the provider does not take: 401 says so, and of the
    /// others some do by a code or by their words. 403 alone also means moderation, a region,
    /// a model or a scope.
    fn blames_the_key(&self) -> bool {
        const CODES: [&str; 9] = [
            "invalid_api_key",
            "api_key_invalid",
            "api_key_expired",
            "incorrect_api_key",
            "authentication_error",
            "invalid_authentication",
            "invalid_auth",
            "unauthenticated",
            "no_auth_credentials",
        ];
        const KEY: [&str; 6] = [
            "api key",
            "api-key",
            "apikey",
            "api_key",
            "auth credentials",
            "authentication",
        ];
        const BAD: [&str; 14] = [
            "not valid",
            "invalid",
            "incorrect",
            "expired",
            "revoked",
            "disabled",
            "deactivated",
            "leaked",
            "malformed",
            "missing",
            "not found",
            "unknown",
            "no auth",
            "failed",
        ];
        match self.status {
            401 => return true,
            400 | 403 => {}
            _ => return false,
        }
        let object = self.object();
        let is_code = |name: &str| {
            let text = object.and_then(|it| it.get(name)).and_then(Value::as_str);
            text.is_some_and(|text| CODES.contains(&text.to_ascii_lowercase().as_str()))
        };
        let details = object.and_then(|it| it.get("details")?.as_array());
        let has_reason = details.into_iter().flatten().any(|detail| {
            let reason = detail
                .get("reason")
                .and_then(Value::as_str)
                .unwrap_or_default();
            CODES.contains(&reason.to_ascii_lowercase().as_str())
        });
        if has_reason
            || ["code", "type", "status", "reason"]
                .into_iter()
                .any(is_code)
        {
            return true;
        }
        // A sentence that names the key, and in it what is wrong with it.
        let words = self
            .words
            .message
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        words.split(['.', ';', '\n']).any(|sentence| {
            let about = KEY.iter().any(|key| sentence.contains(key));
            let bad = BAD.iter().any(|bad| sentence.contains(bad));
            let other = [
                "permission",
                "scope",
                "access to",
                "model",
                "region",
                "restrict",
            ];
            about && bad && !other.iter().any(|other| sentence.contains(other))
        })
    }
}

/// The sentence about an answer that is no JSON.
pub fn unreadable(shown: &str, status: u16, content_type: &str, said: Option<&str>) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/+.-".contains(&b);
    let what = match essence {
        "" => "something without a type".to_owned(),
        essence if essence.len() <= 64 && essence.bytes().all(is_plain) => essence.to_owned(),
        _ => "something of no known type".to_owned(),
    };
    let said = said.map_or(String::new(), |said| format!(" ({said:?})"));
    format!(
        "{shown} answered HTTP {status} with {what} instead of JSON{said}; try again later, or tell the operator"
    )
}

/// Whether JSON under a success is an error all the same: it says so where a completion would
/// have its answer, or it is none. `"error": null` says nothing.
pub fn is_error(json: &Value) -> bool {
    let is_said = |error: Option<&Value>| match error {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    };
    let Some(choices) = json.get("choices").and_then(Value::as_array) else {
        return true;
    };
    let has_answer = |choice: &Value| {
        let message = choice.get("message").or_else(|| choice.get("delta"));
        let text = |name: &str| message.and_then(|it| it.get(name)?.as_str());
        text("content").is_some_and(|text| !text.is_empty())
            || text("refusal").is_some()
            || message.is_some_and(|it| it.get("tool_calls").is_some_and(|it| !it.is_null()))
    };
    if choices.iter().any(has_answer) {
        return false;
    }
    is_said(json.get("error")) || choices.iter().any(|choice| is_said(choice.get("error")))
}

/// The error that a body under a success is, which may be that of a choice; `None` when it
/// says nothing.
pub fn raised(json: &Value) -> Option<Value> {
    let error = json.get("error").filter(|error| !error.is_null());
    let choices = json.get("choices").and_then(Value::as_array);
    let of_choice = || {
        let mut errors = choices
            .into_iter()
            .flatten()
            .filter_map(|choice| choice.get("error"));
        errors.find(|error| !error.is_null()).cloned()
    };
    let raised = match (error, of_choice()) {
        (None, Some(error)) => json!({ "error": error }),
        _ => json.clone(),
    };
    words::told(&raised).is_some().then_some(raised)
}

/// The status that an error under a success means.
fn status_inside(json: &Value) -> u16 {
    let Some(error) = words::error_object(json) else {
        return 502;
    };
    let field = |name: &str| error.get(name);
    let number = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number)
            .ok()
            .filter(|status| (400..=599).contains(status))
    };
    let names = ["code", "status", "status_code", "http_code", "statusCode"];
    if let Some(status) = names.into_iter().filter_map(field).find_map(number) {
        return status;
    }
    let words = ["code", "type", "status"]
        .into_iter()
        .filter_map(|name| field(name)?.as_str());
    let status = |word: &str| match word.to_ascii_lowercase().as_str() {
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "insufficient_quota"
        | "resource_exhausted" => Some(429),
        "invalid_api_key" | "authentication_error" | "unauthenticated" => Some(401),
        "permission_denied" | "permission_error" => Some(403),
        "not_found" | "not_found_error" | "model_not_found" => Some(404),
        "invalid_request_error"
        | "invalid_argument"
        | "context_length_exceeded"
        | "badrequesterror" => Some(400),
        "overloaded_error" | "unavailable" => Some(503),
        _ => None,
    };
    words.into_iter().find_map(status).unwrap_or(502)
}

fn content_type(headers: &[(String, Vec<u8>)]) -> String {
    let found = headers.iter().find(|(name, _)| name == "content-type");
    found.map_or(String::new(), |(_, value)| {
        String::from_utf8_lossy(value).into_owned()
    })
}

/// Headers of an answer that mean something to the client: its type, and how much
/// more the provider would take.
pub fn passes(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "content-type" | "retry-after" | "retry-after-ms" | "x-should-retry"
    ) || name.starts_with("x-ratelimit-")
        || name.starts_with("ratelimit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::PROVIDERS;

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> ProviderError {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
        let mut headers: Vec<_> = headers.iter().map(owned).collect();
        headers.push(("content-type".to_owned(), b"application/json".to_vec()));
        ProviderError::parsed(&PROVIDERS[1], status, &headers, body.as_bytes())
    }

    #[test]
    fn a_client_gets_one_object_with_the_providers_words_and_status() {
        for (status, body, expected) in [
            (
                400,
                r#"[{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT"}}]"#,
                json!({ "code": "INVALID_ARGUMENT", "message": "Unknown name", "error": {
                    "message": "Unknown name", "type": "invalid_request_error", "param": null,
                    "code": "INVALID_ARGUMENT", "status": "INVALID_ARGUMENT" } }),
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"]}},"user_id":"u"}"#,
                json!({ "code": "403", "message": "flagged", "user_id": "u", "error": {
                    "message": "flagged", "type": "invalid_request_error", "param": null,
                    "code": "403", "metadata": { "reasons": ["violence"] } } }),
            ),
            (
                429,
                r#"{"error":{"message":"slow","type":"tokens","param":"n","code":"rate_limit_exceeded"}}"#,
                json!({ "code": "rate_limit_exceeded", "message": "slow", "error": {
                    "message": "slow", "type": "tokens", "param": "n", "code": "rate_limit_exceeded" } }),
            ),
            (
                404,
                r#"{"detail":"Not Found"}"#,
                json!({ "code": "upstream_error", "message": "Not Found", "detail": "Not Found", "error": {
                    "message": "Not Found", "type": "invalid_request_error", "param": null,
                    "code": "upstream_error" } }),
            ),
            (
                500,
                r#"{"object":"error","message":"down","code":500}"#,
                json!({ "code": "500", "message": "down", "object": "error", "error": {
                    "message": "down", "type": "server_error", "param": null, "code": "500" } }),
            ),
        ] {
            let (refusal, _) = error(status, &[], body).refusal();
            assert_eq!((refusal.status, refusal.body()), (status, expected));
        }
        for (status, body, part) in [
            (
                502,
                "<html><h1>Bad gateway</h1></html>",
                "(\"Bad gateway\")",
            ),
            (500, "", "instead of JSON; try again later"),
            (404, "404 page not found", "404 page not found"),
            (400, "{}", "says nothing"),
        ] {
            let (refusal, _) = error(status, &[], body).refusal();
            assert_eq!(refusal.status, status, "{body}");
            assert!(refusal.message.contains(part), "{}", refusal.message);
        }
        let long = format!(
            r#"{{"error":{{"message":"why","more":"{}"}}}}"#,
            "x".repeat(MAX_FIELDS_BYTES)
        );
        let (refusal, _) = error(400, &[], &long).refusal();
        assert!(refusal.body().to_string().len() < 1_000);
    }

    #[test]
    fn an_error_under_a_success_has_the_status_that_it_names() {
        for (body, status) in [
            (r#"{"error":{"message":"x","code":429}}"#, 429),
            (r#"{"error":{"message":"x","code":"503"}}"#, 503),
            (
                r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#,
                429,
            ),
            (
                r#"{"error":{"message":"x","type":"invalid_request_error"}}"#,
                400,
            ),
            (r#"{"error":{"message":"x","code":7}}"#, 502),
            (r#"{"error":"x"}"#, 502),
        ] {
            assert_eq!(error(200, &[], body).status(), status, "{body}");
        }
    }

    #[test]
    fn the_key_is_blamed_only_where_the_answer_does() {
        let says = |status, body: &str| error(status, &[], body).blames_the_key();
        for (status, body) in [
            (401, r#"{"error":"x"}"#),
            (401, ""),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
            ),
            (
                400,
                r#"{"error":{"message":"x","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"API key expired. Please renew the API key."}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Your API key was reported as leaked. Please use another API key."}}"#,
            ),
            (403, r#"{"error":{"message":"x","code":"invalid_api_key"}}"#),
            (
                403,
                r#"{"type":"error","error":{"type":"authentication_error","message":"x"}}"#,
            ),
        ] {
            assert!(says(status, body), "{status} {body}");
        }
        for (status, body) in [
            (
                403,
                r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Project does not have access to model gpt-x","code":"model_not_found"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"You have insufficient permissions. Missing scopes: model.request, if your API key is restricted"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Generative Language API has not been used in project 1 or it is disabled","status":"PERMISSION_DENIED"}}"#,
            ),
            (403, "<html>error code: 1010</html>"),
            (403, ""),
            (
                400,
                r#"{"error":{"message":"Invalid value for max_tokens"}}"#,
            ),
            (429, r#"{"error":{"message":"the API key is invalid"}}"#),
            (500, r#"{"error":{"message":"authentication failed"}}"#),
        ] {
            assert!(!says(status, body), "{status} {body}");
        }
    }

    #[test]
    fn the_wait_is_found_wherever_it_stands_and_never_made_up() {
        const DATE: (&str, &str) = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        for (status, headers, body, wait_ms) in [
            (429, &[("retry-after", "0.5")][..], "{}", Some(500)),
            (429, &[("x-ratelimit-reset-requests", "6ms")], "{}", Some(6)),
            (
                429,
                &[],
                r#"{"error":{"message":"x","details":[{"@type":"x"},{"@type":"RetryInfo","retryDelay":"17s"}]}}"#,
                Some(17_000),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"Please try again in 1m30s."}}"#,
                Some(90_000),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","retry_after":1.5}}"#,
                Some(1_500),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","metadata":{"retry_after_ms":250}}}"#,
                Some(250),
            ),
            (
                429,
                &[DATE],
                r#"{"error":{"message":"x","metadata":{"headers":{"X-RateLimit-Reset":"1792567681000"}}}}"#,
                Some(1_000),
            ),
            (
                429,
                &[],
                "Rate limited, retry after 26 seconds",
                Some(26_000),
            ),
            (503, &[("retry-after", "2")], "", Some(2_000)),
            (503, &[("x-ratelimit-reset-requests", "6ms")], "", None),
            (400, &[("retry-after", "2")], "{}", None),
            (
                429,
                &[("retry-after", "1")],
                r#"{"error":{"message":"x","code":"insufficient_quota"}}"#,
                None,
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]},{"retryDelay":"17s"}]}}"#,
                None,
            ),
            (429, &[], r#"{"error":{"message":"slow down"}}"#, None),
        ] {
            let error = error(status, headers, body);
            assert_eq!(error.wait_ms(), wait_ms, "{body} {headers:?}");
            let (_, headers) = error.refusal();
            let said = headers.iter().find(|(name, _)| name == "retry-after-ms");
            let said = said.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            assert_eq!(said, wait_ms.map(|ms| ms.to_string()), "{body}");
        }
    }

    #[test]
    fn an_agent_is_told_the_words_and_what_to_do() {
        for (status, headers, body, parts) in [
            (
                429,
                &[("retry-after", "7")][..],
                r#"{"error":{"message":"Rate limit"}}"#,
                &["HTTP 429, \"Rate limit\"", "try again in 7 s"][..],
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","code":"insufficient_quota"}}"#,
                &["quota is used up"],
            ),
            (
                400,
                &[],
                r#"[{"error":{"message":"bad schema"}}]"#,
                &["\"bad schema\"", "change the input"],
            ),
            (
                403,
                &[],
                r#"{"error":{"message":"flagged"}}"#,
                &["(HTTP 403, \"flagged\")", "words say why"],
            ),
            (500, &[], "<html>", &["(HTTP 500)", "try again later"]),
            (
                302,
                &[],
                "",
                &["redirects are not followed", "openai_base_url"],
            ),
        ] {
            let error = error(status, headers, body).tool_error();
            assert_eq!(error.code, "upstream_error");
            for part in parts {
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(10_000));
        assert!(error(400, &[], &long).tool_error().message.len() < 500);
    }
}
