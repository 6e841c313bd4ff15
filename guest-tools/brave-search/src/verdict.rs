//! The meaning of Brave's status for the caller. Of an error's body only Brave's own code is shown,
//! and only when it looks like a code. Free text is never shown, because it may repeat the
//! credential.

use crate::quota::Quota;
use crate::upstream::UPSTREAM;
use serde_json::Value;
use trusted_tool::answer::Answer;
use trusted_tool::credential::Credential;
use trusted_tool::{ToolError, tool_error, wait};

const MAX_CODE_CHARS: usize = 48;
/// The length in seconds from which no program waits for a window.
const LONG_WINDOW_SECS: u64 = 3_600;

/// Accepts an answer that holds results.
///
/// # Errors
/// `upstream_auth` when Brave refuses the credential, `upstream_error` for any other status that is
/// no success.
pub fn check(answer: &Answer, credential: &Credential) -> Result<(), ToolError> {
    if answer.status == 200 {
        return Ok(());
    }
    let code = error_code(&answer.body).filter(|code| !credential.holds(code));
    let mut error = refusal(
        answer.status,
        code.as_deref(),
        &Quota::of(answer),
        credential.name(),
    );
    if error.code == "upstream_auth" {
        error.message.push_str(&credential.oddity());
    }
    Err(error)
}

fn refusal(status: u16, code: Option<&str>, quota: &Quota, secret: &str) -> ToolError {
    let shown = match code {
        Some(code) => format!("HTTP {status}, {code}"),
        None => format!("HTTP {status}"),
    };
    // Brave answers 422 with this code to an unknown token. The code of a 403 names what is not
    // allowed, where there is one.
    let is_about_token = |code: &str| code.contains("TOKEN") || code.contains("AUTH");
    if status == 401
        || status == 403 && code.is_none_or(is_about_token)
        || code == Some("SUBSCRIPTION_TOKEN_INVALID")
    {
        return tool_error(
            "upstream_auth",
            format!(
                "{UPSTREAM} refused the credential in secret \"{secret}\" ({shown}); \
                 the app's owner must store a valid one"
            ),
        );
    }
    let is_long = quota
        .used_up
        .is_some_and(|window| window.secs >= LONG_WINDOW_SECS);
    let advice = match (status, quota.wait_ms) {
        (429 | 402, _) if is_long || code == Some("QUOTA_LIMITED") => used_up(quota),
        (429, Some(ms)) => format!(
            "it limits how often it is asked; try again in {}",
            wait::shown(ms)
        ),
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

/// Brave's `error.code`, if it is a word of capitals as Brave documents.
fn error_code(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let code = answer["error"]["code"].as_str()?;
    let is_word = (1..=MAX_CODE_CHARS).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_word.then(|| code.to_owned())
}

/// The sentence about a quota that does not return in a moment.
fn used_up(quota: &Quota) -> String {
    let of = match quota.used_up {
        Some(window) => format!(
            "the quota of {} requests in {} is used up",
            window.limit,
            wait::shown(window.secs.saturating_mul(1_000))
        ),
        None => "the quota is used up".to_owned(),
    };
    match (quota.used_up, quota.wait_ms) {
        (Some(_), Some(ms)) => format!("{of}; it is there again in {}", wait::shown(ms)),
        _ => format!("{of}; the account's owner can raise it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Window;

    #[test]
    fn a_refused_credential_is_told_by_the_name_of_the_secret() {
        for (status, code) in [
            (401, None),
            (403, None),
            (422, Some("SUBSCRIPTION_TOKEN_INVALID")),
        ] {
            let error = refusal(status, code, &Quota::default(), "brave_api_key");
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
                Some(3_000),
                "HTTP 429, RATE_LIMITED): it limits how often it is asked; try again in 3 s",
            ),
            (429, None, None, "try again later"),
            (302, None, None, "redirects are not followed"),
            (503, None, Some(9_000), "a problem of its own"),
            (422, Some("VALIDATION"), None, "change the input"),
            (204, None, None, "HTTP 204"),
        ] {
            let quota = Quota {
                wait_ms: wait,
                used_up: None,
            };
            let error = refusal(status, code, &quota, "brave_api_key");
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
    fn a_quota_that_is_used_up_is_told_with_its_window() {
        let month = Window {
            limit: 2_000,
            secs: 2_592_000,
        };
        for (quota, code, parts) in [
            (
                Quota {
                    wait_ms: Some(1_419_704_000),
                    used_up: Some(month),
                },
                Some("RATE_LIMITED"),
                &[
                    "2000 requests in 30 days is used up",
                    "there again in 16.5 days",
                ][..],
            ),
            (
                Quota {
                    wait_ms: None,
                    used_up: Some(month),
                },
                None,
                &["is used up; the account's owner"],
            ),
            (
                Quota {
                    wait_ms: Some(1_000),
                    used_up: None,
                },
                Some("QUOTA_LIMITED"),
                &["the quota is used up; the account's owner"],
            ),
        ] {
            let message = refusal(429, code, &quota, "k").message;
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
            assert!(!message.contains("try again"), "{message}");
        }
    }
}
