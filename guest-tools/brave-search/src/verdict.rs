//! What the status of Brave's answer means to the one who called. Of an error's
//! body only Brave's own code is shown, when it looks like one; never free text,
//! which may repeat the credential.

use crate::UPSTREAM;
use serde_json::Value;
use trusted_tool::answer::Answer;
use trusted_tool::credential::Credential;
use trusted_tool::{ToolError, tool_error};

const MAX_CODE_CHARS: usize = 48;

/// Passes an answer that holds results.
///
/// # Errors
/// `upstream_auth` when Brave refuses the credential, `upstream_error` for any
/// other status that is no success.
pub fn check(answer: &Answer, credential: &Credential) -> Result<(), ToolError> {
    if answer.status == 200 {
        return Ok(());
    }
    let code = error_code(&answer.body).filter(|code| !credential.holds(code));
    let wait = answer
        .header("retry-after")
        .or_else(|| answer.header("x-ratelimit-reset"))
        .and_then(first_seconds);
    Err(refusal(
        answer.status,
        code.as_deref(),
        wait,
        credential.name(),
    ))
}

fn refusal(status: u16, code: Option<&str>, wait_secs: Option<u64>, secret: &str) -> ToolError {
    let shown = match code {
        Some(code) => format!("HTTP {status}, {code}"),
        None => format!("HTTP {status}"),
    };
    // Brave answers 422 with this code to a token that it does not know.
    if matches!(status, 401 | 403) || code == Some("SUBSCRIPTION_TOKEN_INVALID") {
        return tool_error(
            "upstream_auth",
            format!(
                "{UPSTREAM} refused the credential in secret \"{secret}\" ({shown}); \
                 the app's owner must store a valid one"
            ),
        );
    }
    let advice = match (status, wait_secs) {
        (429, Some(secs)) => format!("it limits how often it is asked; try again in {secs} s"),
        (429, None) => "it limits how often it is asked; try again later".to_owned(),
        (300..=399, _) => {
            "redirects are not followed; the operator must correct base_url".to_owned()
        }
        (500..=599, _) => "it has a problem of its own; try again later".to_owned(),
        _ => "change the input, or tell the operator".to_owned(),
    };
    tool_error(
        "upstream_error",
        format!("{UPSTREAM} answered with an error ({shown}): {advice}"),
    )
}

/// Brave's `error.code`, when it is a word of capitals as Brave documents.
fn error_code(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let code = answer["error"]["code"].as_str()?;
    let is_word = (1..=MAX_CODE_CHARS).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_word.then(|| code.to_owned())
}

/// `Retry-After: 30`, or the shortest window in `X-RateLimit-Reset: 1, 1419704`.
fn first_seconds(value: &str) -> Option<u64> {
    value.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_credential_is_told_by_the_name_of_the_secret() {
        for (status, code) in [
            (401, None),
            (403, None),
            (422, Some("SUBSCRIPTION_TOKEN_INVALID")),
        ] {
            let error = refusal(status, code, None, "brave_api_key");
            assert_eq!(error.code, "upstream_auth");
            assert!(
                error.message.contains("\"brave_api_key\""),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn any_other_status_is_an_upstream_error_with_advice() {
        for (status, code, wait, part) in [
            (
                429,
                Some("RATE_LIMITED"),
                Some(3),
                "HTTP 429, RATE_LIMITED): it limits how often it is asked; try again in 3 s",
            ),
            (429, None, None, "try again later"),
            (302, None, None, "redirects are not followed"),
            (503, None, Some(9), "a problem of its own"),
            (422, Some("VALIDATION"), None, "change the input"),
            (204, None, None, "HTTP 204"),
        ] {
            let error = refusal(status, code, wait, "brave_api_key");
            assert_eq!(error.code, "upstream_error");
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn only_a_word_of_capitals_passes_as_a_code() {
        let code =
            |code: &str| error_code(format!(r#"{{"error":{{"code":"{code}"}}}}"#).as_bytes());
        assert_eq!(code("RATE_LIMITED").as_deref(), Some("RATE_LIMITED"));
        assert_eq!(code("token abc is invalid"), None);
        assert_eq!(code(""), None);
        assert_eq!(code(&"A".repeat(49)), None);
        assert_eq!(error_code(b"<html>"), None);
    }

    #[test]
    fn the_wait_is_the_first_number() {
        assert_eq!(first_seconds("30"), Some(30));
        assert_eq!(first_seconds("1, 1419704"), Some(1));
        assert_eq!(first_seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
