//! The meaning of Brave's answer for the caller: results, or an error with Brave's own words, in
//! which parts of the credential are hidden. An error can come with a status of success.

use crate::quota::Quota;
use crate::upstream::UPSTREAM;
use serde_json::Value;
use trusted_tool::answer::Answer;
use trusted_tool::credential::{Credential, ODDITY_HEADER, oddity};
use trusted_tool::{ToolError, json, tool_error, wait, words};

const MAX_CODE_CHARS: usize = 48;
/// The number of characters of Brave's words that an error repeats.
const MAX_SAID_CHARS: usize = 300;

/// The meaning of an answer: its status, its limits, and Brave's code and words.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The status that counts: that of the answer, or the one that an error under a success names.
    pub status: u16,
    /// The limits that the answer names.
    pub quota: Quota,
    /// The status of the answer.
    answered: u16,
    /// Brave's code, if it is a word of capitals as Brave documents.
    code: Option<String>,
    /// The words for people.
    said: Option<String>,
    /// The host's hint about an odd credential.
    oddity: Option<String>,
    is_json: bool,
    is_error: bool,
}

impl Verdict {
    /// Reads an answer.
    pub fn of(answer: &Answer) -> Self {
        let json: Option<Value> = json::read(&answer.body).ok();
        let is_success = answer.status == 200;
        let error = json.as_ref().and_then(|json| error_in(json, is_success));
        let status = match (is_success, error) {
            (true, Some(error)) => status_of(error),
            _ => answer.status,
        };
        let is_error = !is_success || error.is_some();
        let content_type = answer.header("content-type").unwrap_or_default();
        Self {
            status,
            quota: Quota::of(answer, error),
            answered: answer.status,
            code: error.and_then(error_code),
            said: match is_error {
                true => said(error, &json, || {
                    words::read(content_type, &answer.body).message
                }),
                false => None,
            },
            oddity: answer.header(ODDITY_HEADER).map(str::to_owned),
            is_json: json.is_some(),
            is_error,
        }
    }

    /// Accepts an answer that holds results.
    ///
    /// # Errors
    /// `upstream_auth` when Brave refuses the credential, `upstream_error` for any other error.
    pub fn check(&self, credential: &Credential) -> Result<(), ToolError> {
        if !self.is_error {
            return Ok(());
        }
        let mut error = self.refusal(credential.name(), |said| credential.hidden_in(said));
        if error.code == "upstream_auth" {
            error.message.push_str(&oddity(self.oddity.as_deref()));
        }
        Err(error)
    }

    fn refusal(&self, secret: &str, hidden_in: impl Fn(&str) -> String) -> ToolError {
        let mut shown = format!("HTTP {}", self.answered);
        if let Some(code) = &self.code {
            shown.push_str(&format!(", {}", hidden_in(code)));
        }
        if let Some(said) = &self.said {
            let said: String = said.chars().take(MAX_SAID_CHARS).collect();
            shown.push_str(&format!(", {:?}", hidden_in(&said)));
        }
        if self.blames_the_token() {
            return tool_error(
                "upstream_auth",
                format!(
                    "{UPSTREAM} refused the credential in secret \"{secret}\" ({shown}); \
                     the app's owner must store a valid one"
                ),
            );
        }
        tool_error(
            "upstream_error",
            format!(
                "{UPSTREAM} answered with an error ({shown}): {}",
                self.advice()
            ),
        )
    }

    /// Whether Brave refuses the credential. A 401 says so, and with other statuses the code does:
    /// Brave answers 422 to an unknown token. A 403 alone can come from a firewall.
    fn blames_the_token(&self) -> bool {
        let is_about_token = |code: &String| code.contains("TOKEN") || code.contains("AUTH");
        self.status == 401
            || self.status == 403 && self.code.as_ref().is_some_and(is_about_token)
            || self.code.as_deref() == Some("SUBSCRIPTION_TOKEN_INVALID")
    }

    fn advice(&self) -> String {
        let quota = &self.quota;
        match (self.status, quota.wait_ms) {
            _ if quota.is_spent => used_up(quota),
            (429 | 402, _) if quota.is_long() => used_up(quota),
            (300..=399, _) => {
                "redirects are not followed; the operator must correct base_url".to_owned()
            }
            (status, _) if !self.is_json && self.said.is_some() && status != 429 => {
                let then = match status {
                    500..=599 => "try again later",
                    _ => "tell the operator",
                };
                format!(
                    "that is no answer of {UPSTREAM} itself, but of something in front of it, \
                     such as a proxy or a firewall; {then}"
                )
            }
            (429, Some(ms)) => format!(
                "it limits how often it is asked; try again in {}",
                wait::shown(ms)
            ),
            (429, None) => "it limits how often it is asked; try again later".to_owned(),
            (500..=599, _) => "it has a problem of its own; try again later".to_owned(),
            (400 | 422, _) => "change the input, or tell the operator".to_owned(),
            _ if self.said.is_some() => "its words say why".to_owned(),
            _ => "it does not say why; tell the operator".to_owned(),
        }
    }
}

/// The error in an answer. An answer with a status of success has an error only if its JSON names
/// one.
fn error_in(json: &Value, is_success: bool) -> Option<&Value> {
    let named = json.get("error").filter(|error| match error {
        Value::Object(object) => !object.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    });
    let is_typed = json["type"] == "ErrorResponse";
    named.or_else(|| (!is_success || is_typed).then_some(json))
}

/// Brave's words, and the fields that it names beside them.
fn said(
    error: Option<&Value>,
    json: &Option<Value>,
    plain: impl Fn() -> Option<String>,
) -> Option<String> {
    let Some(error) = error.filter(|_| json.is_some()) else {
        return plain();
    };
    let told = words::told(error);
    let fields = error["meta"]["errors"].as_array();
    let fields = fields.and_then(|fields| words::told(&Value::from(fields.clone())));
    match (told, fields) {
        (Some(told), Some(fields)) if !told.contains(&fields) => Some(format!("{told}: {fields}")),
        (told, fields) => told.or(fields),
    }
}

/// The status that an error under a success names.
fn status_of(error: &Value) -> u16 {
    let named = error["status"]
        .as_u64()
        .and_then(|it| u16::try_from(it).ok());
    named
        .filter(|status| (400..=599).contains(status))
        .unwrap_or(502)
}

/// Brave's `code`, if it is a word of capitals as Brave documents.
fn error_code(error: &Value) -> Option<String> {
    let code = error["code"].as_str()?;
    let is_word = (1..=MAX_CODE_CHARS).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_word.then(|| code.to_owned())
}

/// The sentence about a quota that does not return in a moment.
fn used_up(quota: &Quota) -> String {
    let of = match quota.used_up {
        Some(window) => {
            let time = window.secs.map(|secs| secs.saturating_mul(1_000));
            let time = time.map_or(String::new(), |ms| format!(" in {}", wait::shown(ms)));
            format!("the quota of {} requests{time} is used up", window.limit)
        }
        None => "the quota is used up".to_owned(),
    };
    let again = match (quota.used_up, quota.wait_ms) {
        (Some(_), Some(ms)) => format!("; it is there again in {}", wait::shown(ms)),
        _ => String::new(),
    };
    format!("{of}{again}; ask the operator for a larger plan")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Window;
    use serde_json::json;

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        Answer::new(
            status,
            vec![("content-type".to_owned(), content_type.into())],
            body.into(),
        )
    }

    fn told(status: u16, content_type: &str, body: &str) -> ToolError {
        let verdict = Verdict::of(&answer(status, content_type, body));
        assert!(verdict.is_error, "{body}");
        verdict.refusal("brave_api_key", str::to_owned)
    }

    fn of_json(status: u16, error: Value) -> ToolError {
        let body = json!({ "type": "ErrorResponse", "error": error }).to_string();
        told(status, "application/json", &body)
    }

    #[test]
    fn a_refused_credential_is_told_by_the_name_of_the_secret() {
        for (status, error) in [
            (401, json!({})),
            (403, json!({ "code": "SUBSCRIPTION_TOKEN_REVOKED" })),
            (422, json!({ "code": "SUBSCRIPTION_TOKEN_INVALID" })),
            (
                200,
                json!({ "code": "SUBSCRIPTION_TOKEN_INVALID", "status": 422 }),
            ),
        ] {
            let error = of_json(status, error);
            assert_eq!(error.code, "upstream_auth");
            assert!(
                error.message.contains("\"brave_api_key\""),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn who_stands_in_front_of_brave_does_not_blame_the_credential() {
        const PAGE: &str = "<title>Attention Required</title>blocked";
        for (status, content_type, body, parts) in [
            (
                403,
                "text/html",
                PAGE,
                &[
                    "HTTP 403, \"Attention Required blocked\"",
                    "something in front of it",
                    "tell the operator",
                ][..],
            ),
            (
                403,
                "text/plain",
                "error code: 1010",
                &["error code: 1010", "something in front of it"],
            ),
            (
                503,
                "text/html",
                PAGE,
                &["something in front of it", "try again later"],
            ),
            (
                403,
                "application/json",
                "",
                &["HTTP 403)", "does not say why"],
            ),
            (
                403,
                "application/json",
                r#"{"message":"Forbidden"}"#,
                &["\"Forbidden\"", "its words say why"],
            ),
        ] {
            let error = told(status, content_type, body);
            assert_eq!(error.code, "upstream_error");
            for part in parts {
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
    }

    #[test]
    fn an_error_has_braves_words_and_advice() {
        for (status, error, parts) in [
            (
                429,
                json!({ "code": "RATE_LIMITED", "detail": "Request rate limit exceeded" }),
                &[
                    "HTTP 429, RATE_LIMITED, \"Request rate limit exceeded\"): it limits how often it is asked; try again later",
                ][..],
            ),
            (302, json!({}), &["redirects are not followed"]),
            (503, json!({}), &["a problem of its own"]),
            (
                422,
                json!({
                    "code": "VALIDATION",
                    "detail": "Unable to validate request parameter(s)",
                    "meta": { "errors": [{ "loc": ["query", "count"], "msg": "too large" }] },
                }),
                &[
                    "VALIDATION, \"Unable to validate request parameter(s): query.count: too large\"",
                    "change the input",
                ],
            ),
            (
                403,
                json!({ "code": "OPTION_NOT_IN_PLAN", "detail": "The option is not subscribed" }),
                &["The option is not subscribed", "its words say why"],
            ),
        ] {
            let error = of_json(status, error);
            assert_eq!(error.code, "upstream_error");
            for part in parts {
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
        let empty = told(204, "", "");
        assert!(empty.message.contains("HTTP 204"), "{}", empty.message);
    }

    #[test]
    fn an_error_under_a_success_is_an_error_and_results_are_none() {
        let error = of_json(
            200,
            json!({ "code": "X", "detail": "words", "status": 500 }),
        );
        assert_eq!(
            error.message,
            "Brave Search answered with an error (HTTP 200, X, \"words\"): \
             it has a problem of its own; try again later"
        );
        for body in [
            r#"{"error":"words"}"#,
            r#"{"error":{"message":"words"}}"#,
            r#"{"type":"ErrorResponse","detail":"words"}"#,
        ] {
            let error = told(200, "application/json", body);
            assert!(error.message.contains("\"words\""), "{}", error.message);
        }
        for body in [
            r#"{"web":{"results":[]}}"#,
            r#"{"error":null}"#,
            "{}",
            "<html>",
        ] {
            assert!(!Verdict::of(&answer(200, "", body)).is_error, "{body}");
        }
    }

    #[test]
    fn only_a_word_of_capitals_passes_as_a_code() {
        let code = |code: &str| error_code(&json!({ "code": code }));
        assert_eq!(code("RATE_LIMITED").as_deref(), Some("RATE_LIMITED"));
        assert_eq!(code("token abc is invalid"), None);
        assert_eq!(code(""), None);
        assert_eq!(code(&"A".repeat(49)), None);
    }

    #[test]
    fn a_quota_that_is_used_up_is_told_with_what_is_known_of_it() {
        let month = |secs| Some(Window { limit: 2_000, secs });
        let quota = |used_up, wait_ms, is_spent| Quota {
            wait_ms,
            used_up,
            is_spent,
        };
        const WAIT: Option<u64> = Some(1_419_704_000);
        for (quota, sentence) in [
            (
                quota(month(Some(2_592_000)), WAIT, false),
                "the quota of 2000 requests in 30 days is used up; it is there again in 16.5 days",
            ),
            (
                quota(month(None), WAIT, false),
                "the quota of 2000 requests is used up; it is there again in 16.5 days",
            ),
            (
                quota(month(Some(2_592_000)), None, false),
                "the quota of 2000 requests in 30 days is used up",
            ),
            (quota(None, None, true), "the quota is used up"),
        ] {
            for status in [402, 429] {
                let verdict = Verdict {
                    status,
                    quota,
                    ..Verdict::default()
                };
                let advice = verdict.advice();
                assert_eq!(
                    advice,
                    format!("{sentence}; ask the operator for a larger plan")
                );
            }
        }
        let spent = of_json(
            402,
            json!({ "code": "USAGE_LIMIT_EXCEEDED", "detail": "no more" }),
        );
        assert!(
            spent
                .message
                .contains("(HTTP 402, USAGE_LIMIT_EXCEEDED, \"no more\"): the quota is used up"),
            "{}",
            spent.message
        );
        let meta = json!({ "quota_limit": 2000, "quota_current": 2000 });
        let spent = of_json(429, json!({ "code": "RATE_LIMITED", "meta": meta }));
        assert!(
            spent
                .message
                .ends_with("the quota is used up; ask the operator for a larger plan"),
            "{}",
            spent.message
        );
    }
}
