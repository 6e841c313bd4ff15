//! The operation `chat`, for agents: one whole completion as JSON, or an error
//! with what the provider said. It does not stream.

use crate::chat_request::{ChatRequest, Invalid};
use crate::endpoint;
use crate::exchange::{self, Exchange};
use serde_json::{Value, json};
use trusted_tool::{ToolError, tool_error};

/// How much of a provider's own words an error repeats.
const MAX_SAID_CHARS: usize = 300;

/// A JSON Schema of the input.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["messages"],
        "properties": {
            "model": { "type": "string", "description": "provider/model, or a name such as gemini-2.5-flash" },
            "messages": { "type": "array", "minItems": 1, "items": { "type": "object" } },
            "stream": { "const": false }
        },
        "additionalProperties": true
    })
}

/// Asks the provider and gives its completion as it is.
///
/// # Errors
/// `invalid_input`, the errors of [`Exchange::begin`], and `upstream_error` when
/// the provider answers with one or with something else than JSON.
pub fn complete(input: &str) -> Result<String, ToolError> {
    let chat = ChatRequest::parse(input.as_bytes())
        .map_err(|Invalid { message, .. }| tool_error("invalid_input", message))?;
    if chat.is_streamed() {
        return Err(tool_error(
            "invalid_input",
            "a call of a tool gives its answer as a whole; leave the field stream out",
        ));
    }
    let bounds = endpoint::bounds()?;
    let Exchange { provider, response } = Exchange::begin(&chat, &bounds)?;
    let status = response.status;
    if !(200..=299).contains(&status) {
        let retry_after = response.header("retry-after").map(str::to_owned);
        let body = exchange::error_body(response);
        return Err(if exchange::says_key_is_invalid(provider, status, &body) {
            exchange::refused(provider, status)
        } else {
            upstream_error(provider.shown, status, retry_after.as_deref(), &body)
        });
    }
    let body = response.whole(bounds.max_response_bytes)?.body;
    completion(provider.shown, body)
}

fn completion(shown: &str, body: Vec<u8>) -> Result<String, ToolError> {
    let is_completion =
        serde_json::from_slice::<Value>(&body).is_ok_and(|it| it["choices"].is_array());
    String::from_utf8(body)
        .ok()
        .filter(|_| is_completion)
        .ok_or_else(|| {
            tool_error(
                "upstream_error",
                format!("{shown} answered with something that is no completion; try again later"),
            )
        })
}

fn upstream_error(shown: &str, status: u16, retry_after: Option<&str>, body: &[u8]) -> ToolError {
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|body| {
        // Gemini puts its error into a list.
        let error = body.get(0).unwrap_or(&body);
        let text = error["error"]["message"]
            .as_str()
            .or_else(|| error["error"].as_str())?;
        Some(text.chars().take(MAX_SAID_CHARS).collect::<String>())
    });
    let said = said.map_or(String::new(), |said| format!(", {said:?}"));
    let secs = retry_after.and_then(|value| value.trim().parse::<u64>().ok());
    let advice = match (status, secs) {
        (429 | 503, Some(secs)) => format!("try again in {secs} s"),
        (429 | 500..=599, _) => "try again later".to_owned(),
        (300..=399, _) => {
            "redirects are not followed, the operator must correct the base URL".to_owned()
        }
        _ => "change the input".to_owned(),
    };
    tool_error(
        "upstream_error",
        format!("{shown} answered with an error (HTTP {status}{said}): {advice}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_providers_words_and_advice() {
        for (status, retry_after, body, parts) in [
            (
                429,
                Some("7"),
                r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
                &["HTTP 429, \"Rate limit reached\"", "try again in 7 s"][..],
            ),
            (
                400,
                None,
                r#"[{"error":{"message":"bad schema"}}]"#,
                &["\"bad schema\"", "change the input"],
            ),
            (
                404,
                None,
                r#"{"error":"model \"x\" not found"}"#,
                &["not found", "change the input"],
            ),
            (500, None, "<html>", &["(HTTP 500)", "try again later"]),
            (302, None, "", &["redirects are not followed"]),
        ] {
            let error = upstream_error("OpenAI", status, retry_after, body.as_bytes());
            assert_eq!(error.code, "upstream_error");
            for part in parts {
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(10_000));
        assert!(
            upstream_error("OpenAI", 400, None, long.as_bytes())
                .message
                .len()
                < 500
        );
    }

    #[test]
    fn only_a_completion_is_one() {
        let text = r#"{"choices": [{"message": {"content": "hi"}}]}"#;
        assert_eq!(
            completion("X", text.as_bytes().to_vec()).expect("one"),
            text
        );
        for other in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"choices":{}}"#,
            "{\"choices\":[\"\u{0}\"]}",
        ] {
            let error = completion("X", other.as_bytes().to_vec()).expect_err(other);
            assert_eq!(error.code, "upstream_error", "{other}");
        }
    }
}
