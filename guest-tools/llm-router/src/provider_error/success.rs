//! Errors under a status of success: whether JSON is an error, which one, and with what status.

use crate::words;
use serde_json::{Value, json};

/// Whether JSON under a success is an error all the same. It names an error where a completion
/// would have its answer, or it is no completion. `"error": null` names none.
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

/// The error in a body under a success, which may be in a choice. `None` when it says nothing.
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
    use crate::provider_error::reading::sample;

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
