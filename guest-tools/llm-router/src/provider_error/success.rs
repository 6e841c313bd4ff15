//! Errors under a status of success: whether JSON is an error, which one, and with what status.

use super::sentence::shortened;
use serde_json::{Value, json};
use trusted_tool::words;

/// Why JSON under a success is no completion.
#[derive(Debug, PartialEq, Eq)]
pub enum NoCompletion {
    /// The JSON is this error.
    Error(Value),
    /// The JSON lacks this part of every completion. The text is empty if it does not resemble one.
    Lacks(String),
}

/// Accepts a whole completion, in which OpenAI's clients find a message. An error beside a part of
/// a text is an error, because the text is cut.
///
/// # Errors
/// The error that the JSON is, or the part that it lacks.
pub fn check(json: &Value) -> Result<(), NoCompletion> {
    if let Some(error) = named(json) {
        return Err(NoCompletion::Error(error));
    }
    let Some(choices) = json.get("choices").and_then(Value::as_array) else {
        return Err(match words::told(json) {
            Some(_) => NoCompletion::Error(json.clone()),
            None => NoCompletion::Lacks(String::new()),
        });
    };
    let has_message = |choice: &Value| choice.get("message").is_some_and(Value::is_object);
    if choices.is_empty() {
        return Err(NoCompletion::Lacks(
            "its list of choices is empty".to_owned(),
        ));
    }
    if choices.iter().any(|it| it["finish_reason"] == "error") {
        return Err(NoCompletion::Lacks(
            "its finish_reason is \"error\", and nothing says why".to_owned(),
        ));
    }
    match choices.iter().find(|choice| !has_message(choice)) {
        None => Ok(()),
        Some(choice) => {
            let why = choice["finish_reason"].as_str();
            let why = why.map_or(String::new(), |why| {
                format!(", and its finish_reason is {:?}", shortened(why))
            });
            Err(NoCompletion::Lacks(format!(
                "a choice in it has no message{why}"
            )))
        }
    }
}

/// The error that JSON names, beside its choices or in one of them. `"error": null` and an error
/// without a content name none.
pub fn named(json: &Value) -> Option<Value> {
    let first = json.as_array().map_or(Some(json), |list| list.first())?;
    if first.get("error").is_some_and(is_said) || first["object"] == "error" {
        return Some(json.clone());
    }
    let choices = first.get("choices").and_then(Value::as_array);
    let mut errors = choices
        .into_iter()
        .flatten()
        .filter_map(|choice| choice.get("error"));
    let error = errors.find(|error| is_said(error))?;
    Some(json!({ "error": error }))
}

fn is_said(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(is_said),
        Value::Object(object) => object.values().any(is_said),
    }
}

/// The error in an event that names itself `error`, whatever its data are.
pub fn in_error_event(data: &str) -> Value {
    match words::parsed(data.trim()) {
        Some(json) if words::told(&json).is_some() => json,
        _ => json!({ "error": { "message": data.trim() } }),
    }
}

/// The status that an error under a success means.
pub(super) fn status_inside(json: &Value) -> u16 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider_error::reading::sample;

    #[test]
    fn only_what_clients_find_a_message_in_is_a_completion() {
        for fine in [
            json!({ "choices": [{ "message": { "content": "hi" } }] }),
            json!({ "choices": [{ "message": { "content": "hi" } }], "error": null }),
            json!({ "choices": [{ "message": { "content": null, "tool_calls": [] } }], "error": {} }),
            json!({ "choices": [{ "message": { "content": "" }, "error": { "code": 0, "message": "" } }] }),
        ] {
            assert_eq!(check(&fine), Ok(()), "{fine}");
        }
        for (json, lacks) in [
            (json!({ "choices": [] }), "its list of choices is empty"),
            (
                json!({ "choices": [{ "message": null }] }),
                "a choice in it has no message",
            ),
            (
                json!({ "choices": [{ "text": "hi" }] }),
                "a choice in it has no message",
            ),
            (
                json!({ "choices": [{ "finish_reason": "error", "message": { "content": "part" } }] }),
                "its finish_reason is \"error\", and nothing says why",
            ),
            (
                json!({ "choices": [{ "finish_reason": "content_filter" }] }),
                "a choice in it has no message, and its finish_reason is \"content_filter\"",
            ),
            (json!({ "choices": {} }), ""),
            (json!({}), ""),
            (json!([]), ""),
        ] {
            assert_eq!(
                check(&json),
                Err(NoCompletion::Lacks(lacks.to_owned())),
                "{json}"
            );
        }
    }

    #[test]
    fn an_error_is_found_beside_and_within_the_choices_even_with_a_part_of_a_text() {
        for error in [
            json!({ "id": "gen-1", "error": { "message": "why" } }),
            json!({ "choices": [], "error": { "message": "why" } }),
            json!({ "choices": null, "error": "why" }),
            json!({ "choices": [{ "message": { "content": "" } }], "error": { "message": "why" } }),
            json!({ "choices": [{ "message": { "content": "part" } }], "error": { "message": "why" } }),
            json!([{ "error": { "message": "why" } }]),
            json!({ "object": "error", "message": "why" }),
            json!({ "detail": "why" }),
            json!("why"),
        ] {
            assert_eq!(
                check(&error),
                Err(NoCompletion::Error(error.clone())),
                "{error}"
            );
        }
        for content in ["", "part"] {
            let of_choice = json!({ "choices": [{
                "finish_reason": "error",
                "message": { "content": content },
                "error": { "message": "Provider disconnected", "code": 502 },
            }] });
            let error = json!({ "error": { "message": "Provider disconnected", "code": 502 } });
            assert_eq!(check(&of_choice), Err(NoCompletion::Error(error)));
        }
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
            assert_eq!(sample(200, &[], body).status(), status, "{body}");
        }
    }
}
