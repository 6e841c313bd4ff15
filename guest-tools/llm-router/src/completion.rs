//! The operation `chat`, for agents: one whole completion as JSON, or an error with the provider's
//! words. It does not stream.

use crate::chat_request::{ChatRequest, Invalid};
use crate::endpoint;
use crate::events;
use crate::exchange::{Exchange, Unanswered};
use serde::de::IgnoredAny;
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
    let completion = match events::error_of_first(&body) {
        Some(error) => Err(exchange.error_in(&error).into()),
        None => exchange.completion(&body),
    };
    completion.map(|json| written(&body, &json)).map_err(told)
}

/// The completion as strict JSON: its own text where that is strict, because a number of 64 bits
/// stays whole there.
fn written(body: &[u8], json: &Value) -> String {
    let strict = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let text = std::str::from_utf8(body).map(|text| text.trim_start_matches('\u{feff}').trim());
    let text = text.map(without_half_pairs).unwrap_or_default();
    match strict(&text) {
        true => text.into_owned(),
        false => json.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_is_unchanged_where_it_is_strict_json() {
        let of = |body: &str| {
            written(
                body.as_bytes(),
                &trusted_tool::words::parsed(body).expect("JSON"),
            )
        };
        for text in [
            r#"{"choices": [{"message": {"content": "hi"}}]}"#,
            r#"{"id": 123456789012345678901234567890, "choices": [1.0]}"#,
        ] {
            assert_eq!(of(text), text);
        }
        for (text, strict) in [
            (r#"{"content":"cut \ud83d"}"#, r#"{"content":"cut \ufffd"}"#),
            ("\u{feff}{\"a\":1}", r#"{"a":1}"#),
            (r#"{"logprob":NaN}"#, r#"{"logprob":"NaN"}"#),
        ] {
            assert_eq!(of(text), strict);
        }
    }
}
