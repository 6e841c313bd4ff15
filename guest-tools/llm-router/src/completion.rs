//! The operation `chat`, for agents: one whole completion as JSON, or an error with the provider's
//! words. It does not stream.

use crate::chat_request::{ChatRequest, Invalid};
use crate::endpoint;
use crate::exchange::{Exchange, Unanswered};
use crate::provider_error::{is_error, raised};
use crate::words;
use serde_json::{Value, json};
use trusted_tool::json::without_half_pairs;
use trusted_tool::{ToolError, tool_error};

/// The JSON Schema of the input.
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

/// Asks the provider and returns its completion unchanged.
///
/// # Errors
/// `invalid_input`, the errors of [`Exchange::begin`], and `upstream_error` when the provider
/// answers with an error or with something else than JSON.
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
    let told = |unanswered| match unanswered {
        Unanswered::Failed(error) => error,
        Unanswered::Error(error) => error.tool_error(),
    };
    let mut exchange = Exchange::begin(&chat, &bounds).map_err(told)?;
    let mut body = Vec::new();
    while let Some(piece) = exchange.response.next_piece()? {
        body.extend_from_slice(&piece);
        if body.len() as u64 > bounds.max_response_bytes {
            let shown = exchange.provider.shown;
            return Err(trusted_tool::request::too_long(
                shown,
                bounds.max_response_bytes,
            ));
        }
    }
    completion(&body).map_err(|error| match error {
        Some(error) => exchange.error_in(error.to_string().as_bytes()).tool_error(),
        None => {
            exchange.unreadable("answered with something that is no completion; try again later")
        }
    })
}

/// The completion, unchanged but for halves of surrogate pairs. If the body is an error instead,
/// that error, if it says something.
fn completion(body: &[u8]) -> Result<String, Option<Value>> {
    let text = std::str::from_utf8(body).map_err(|_| None)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let json = words::parsed(text).ok_or(None)?;
    match is_error(&json) {
        false => Ok(without_half_pairs(text).into_owned()),
        true => Err(raised(&json)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_completion_is_one() {
        for text in [
            r#"{"choices": [{"message": {"content": "hi"}}]}"#,
            r#"{"choices": [{"message": {"content": "hi"}}], "error": null}"#,
            r#"{"choices": [{"message": {"content": null, "tool_calls": []}}], "error": {}}"#,
            r#"{"choices": []}"#,
        ] {
            assert_eq!(completion(text.as_bytes()), Ok(text.to_owned()));
        }
        for other in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"choices":{}}"#,
            "{\"choices\":[\"\u{0}\"]}",
        ] {
            assert_eq!(completion(other.as_bytes()), Err(None), "{other}");
        }
        let cut = br#"{"choices":[{"message":{"content":"cut \ud83d"}}]}"#;
        assert_eq!(
            completion(cut).expect("one"),
            r#"{"choices":[{"message":{"content":"cut \ufffd"}}]}"#
        );
    }

    #[test]
    fn an_error_under_a_success_is_told_apart() {
        let said = json!({ "error": { "message": "why" } });
        for error in [
            json!({ "id": "gen-1", "error": { "message": "why" } }),
            json!({ "choices": [], "error": { "message": "why" } }),
            json!({ "choices": null, "error": "why" }),
            json!({ "choices": [{ "message": { "content": "" } }], "error": { "message": "why" } }),
            json!([{ "error": { "message": "why" } }]),
            json!({ "object": "error", "message": "why" }),
            json!({ "detail": "why" }),
            json!("why"),
        ] {
            assert_eq!(
                completion(error.to_string().as_bytes()),
                Err(Some(error.clone())),
                "{error}"
            );
        }
        let of_choice = json!({ "choices": [{ "finish_reason": "error", "message": { "content": "" }, "error": { "message": "why" } }] });
        assert_eq!(
            completion(of_choice.to_string().as_bytes()),
            Err(Some(said))
        );
        // What was answered before the failure is an answer.
        let partly = json!({ "choices": [{ "message": { "content": "so far" } }], "error": { "message": "why" } });
        assert!(completion(partly.to_string().as_bytes()).is_ok());
    }
}
