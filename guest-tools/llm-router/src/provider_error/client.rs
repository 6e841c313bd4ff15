//! An error for a client over HTTP: the provider's status, words, fields and limits.

use super::answer::ProviderError;
use super::sentence::{address, unreadable};
use crate::refusal::Refusal;
use serde_json::Value;
use trusted_tool::tool_error;

impl ProviderError {
    /// The error for a client over HTTP, and the headers that go with it.
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
            // The provider refuses the app's credential, not the client's own key.
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
        let has_text = words.json.is_null();
        if (300..=399).contains(status) {
            return self.redirected().message;
        }
        if self.is_no_path() && !provider.has_key() {
            let said = self.said().map_or(String::new(), |it| format!(" ({it:?})"));
            return format!(
                "{shown} answered HTTP {status}{said}; {}",
                address(provider)
            );
        }
        match &words.message {
            Some(message) if !has_text => message.clone(),
            Some(message) => unreadable(provider, *status, &self.content_type, Some(message)),
            None => match self.own_json() {
                Some(json) => format!("{shown} answered with an error (HTTP {status}): {json}"),
                None => format!("{shown} answered with an error (HTTP {status}) that says nothing"),
            },
        }
    }
}

/// Whether a header means something to the client: the type of the answer, or how much more the
/// provider would take.
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
    use crate::provider_error::reading::{MAX_FIELDS_BYTES, sample};
    use serde_json::json;

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
            let (refusal, _) = sample(status, &[], body).refusal();
            assert_eq!((refusal.status, refusal.body()), (status, expected));
        }
        for (status, body, part) in [
            (
                502,
                "<html><h1>Bad gateway</h1></html>",
                "(\"Bad gateway\")",
            ),
            (500, "", "says nothing"),
            (500, "null", "says nothing"),
            (
                400,
                r#"{"ok":false,"result":{"why":"x"}}"#,
                r#": {"ok":false,"result":{"why":"x"}}"#,
            ),
            (
                422,
                r#"{"detail":[{"loc":["body","messages"],"msg":"field required"}]}"#,
                "body.messages: field required",
            ),
            (404, "404 page not found", "404 page not found"),
            (400, "{}", "says nothing"),
        ] {
            let (refusal, _) = sample(status, &[], body).refusal();
            assert_eq!(refusal.status, status, "{body}");
            assert!(refusal.message.contains(part), "{}", refusal.message);
        }
        let long = format!(
            r#"{{"error":{{"message":"why","more":"{}"}}}}"#,
            "x".repeat(MAX_FIELDS_BYTES)
        );
        let (refusal, _) = sample(400, &[], &long).refusal();
        assert!(refusal.body().to_string().len() < 1_000);
    }
}
