//! The words of an upstream in a body that reports an error, in any form: OpenAI's object, a list,
//! a string, an error inside a string, a page, plain text.
//!
//! The module knows no status and decides nothing.

use crate::{json, page};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The depth to which errors inside errors are read.
const MAX_DEPTH: usize = 6;
/// The number of characters of a provider's words that are kept.
const MAX_WORDS_CHARS: usize = 4_000;
/// The number of characters of a page that are kept, because a page says little.
const MAX_PAGE_CHARS: usize = 300;
/// The number of errors that are shown of several.
const MAX_ERRORS: usize = 3;

/// The names of members that have words for people, the most telling first.
const TOLD: [&str; 18] = [
    "message",
    "error_description",
    "error_message",
    "errorMessage",
    "error_msg",
    "err_msg",
    "errmsg",
    "msg",
    "detail",
    "details",
    "description",
    "reason",
    "faultstring",
    "fault",
    "status_msg",
    "base_resp",
    "title",
    "body",
];

/// The content of a body.
#[derive(Debug, Default)]
pub struct Words {
    /// The words for people.
    pub message: Option<String>,
    /// The body as JSON; null when it is not JSON.
    pub json: Value,
}

/// Reads a body.
pub fn read(content_type: &str, body: &[u8]) -> Words {
    let text = decoded(content_type, body);
    let text = text.trim();
    if let Some(json) = parsed(text) {
        let message = told(&json).map(|message| bounded(&message, MAX_WORDS_CHARS));
        return Words { message, json };
    }
    let is_page = content_type.to_ascii_lowercase().contains("html") || text.starts_with('<');
    let (plain, max) = match is_page {
        true => (page::without_tags(text), MAX_PAGE_CHARS),
        false => (text.to_owned(), MAX_WORDS_CHARS),
    };
    let plain = bounded(&plain, max);
    Words {
        message: Some(plain).filter(|plain| !plain.is_empty()),
        json: Value::Null,
    }
}

/// The object that is the error: the innermost one under `error`, or the body itself.
pub fn error_object(json: &Value) -> Option<&Map<String, Value>> {
    let mut found = None;
    let mut next = json;
    for _ in 0..MAX_DEPTH {
        if let Value::Array(list) = next {
            next = list.first()?;
        }
        let Value::Object(object) = next else { break };
        found = Some(object);
        match object.get("error") {
            Some(inner @ (Value::Object(_) | Value::Array(_))) => next = inner,
            _ => break,
        }
    }
    found
}

/// Parses JSON, as nearly right as [`json::read`] takes it.
pub fn parsed(text: &str) -> Option<Value> {
    json::read(text.as_bytes()).ok()
}

/// Returns the first text for people in a JSON value.
pub fn told(json: &Value) -> Option<String> {
    told_at(json, 0).or_else(|| structured(json))
}

/// The words of an error that has an object of words where others have a sentence, as
/// `{"message":{"model":["is unknown"]}}`.
fn structured(json: &Value) -> Option<String> {
    let error = error_object(json)?;
    let has_own = json.get("error").is_some_and(Value::is_object);
    let is_list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    let mut fields = TOLD.iter().filter_map(|name| by_field(error.get(*name)?));
    fields.next().or_else(|| {
        // Some frameworks answer with the fields alone, each with a list of texts.
        let is_told = has_own || !error.is_empty() && error.values().all(is_list);
        is_told
            .then(|| by_field(&Value::from(error.clone())))
            .flatten()
    })
}

/// The texts in an object or a list, each with its path: `model: is unknown`.
fn by_field(json: &Value) -> Option<String> {
    fn collect(json: &Value, path: &str, depth: usize, told: &mut Vec<String>) {
        if depth > MAX_DEPTH || told.len() == MAX_ERRORS {
            return;
        }
        let below = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        match json {
            Value::String(text) if !text.trim().is_empty() => told.push(match path {
                "" => text.trim().to_owned(),
                path => format!("{path}: {}", text.trim()),
            }),
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    match value {
                        Value::Object(_) => {
                            collect(value, &below(&at.to_string()), depth + 1, told)
                        }
                        value => collect(value, path, depth + 1, told),
                    }
                }
            }
            Value::Object(object) => {
                for (name, value) in object {
                    collect(value, &below(name), depth + 1, told);
                }
            }
            _ => {}
        }
    }
    let mut told = Vec::new();
    collect(json, "", 0, &mut told);
    (!told.is_empty()).then(|| told.join("; "))
}

/// The place that a validator names beside its words: `body.messages`.
fn place(object: &Map<String, Value>) -> Option<String> {
    let mut lists = ["loc", "path"]
        .into_iter()
        .filter_map(|name| object.get(name)?.as_array());
    let parts = lists.next()?.iter().filter_map(|part| match part {
        Value::String(name) => Some(name.clone()),
        Value::Number(index) => Some(index.to_string()),
        _ => None,
    });
    Some(parts.collect::<Vec<_>>().join(".")).filter(|place| !place.is_empty())
}

fn told_at(json: &Value, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json {
        Value::String(text) => {
            let text = text.trim();
            let inner = text
                .starts_with(['{', '['])
                .then(|| parsed(text).and_then(|inner| told_at(&inner, depth + 1)));
            inner
                .flatten()
                .or_else(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
        }
        Value::Array(list) => {
            let all = list.iter().filter_map(|error| told_at(error, depth + 1));
            let some: Vec<_> = all.take(MAX_ERRORS).collect();
            (!some.is_empty()).then(|| some.join("; "))
        }
        Value::Object(object) => told_by_object(object, depth),
        _ => None,
    }
}

fn told_by_object(object: &Map<String, Value>, depth: usize) -> Option<String> {
    let of = |name: &str| object.get(name).and_then(|value| told_at(value, depth + 1));
    let nested = |name: &str| {
        let value = object.get(name)?;
        (value.is_object() || value.is_array())
            .then(|| told_at(value, depth + 1))
            .flatten()
    };
    let message = nested("error")
        .or_else(|| nested("errors"))
        .or_else(|| TOLD.iter().find_map(|name| of(name)))
        .or_else(|| of("error"))
        .or_else(|| of("errors"))?;
    let message = match place(object) {
        Some(place) if !message.contains(&place) => format!("{place}: {message}"),
        _ => message,
    };
    // OpenRouter says "Provider returned error", and puts the provider's own error beside it.
    // Others say that something is invalid, and list the fields beside that.
    let raw = object.get("metadata").and_then(|it| it.get("raw"));
    let raw = raw.and_then(|raw| told_at(raw, depth + 1));
    let errors = object.get("errors").filter(|errors| errors.is_object());
    let more = raw.or_else(|| by_field(errors?).filter(|_| nested("errors").is_none()));
    match more {
        Some(more) if !message.contains(&more) => Some(format!("{message}: {more}")),
        _ => Some(message),
    }
}

/// The text of a body, decoded from its character set.
fn decoded<'b>(content_type: &str, body: &'b [u8]) -> Cow<'b, str> {
    let lower = content_type.to_ascii_lowercase();
    let charset = lower.split_once("charset=").map_or("", |(_, rest)| rest);
    let charset = charset.trim_matches(|char: char| char == '"' || char.is_whitespace());
    let wide = |bytes: &[u8], from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|it| from([it[0], it[1]]))
            .collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [_, 0, ..] => wide(body, u16::from_le_bytes),
        [0, _, ..] => wide(body, u16::from_be_bytes),
        _ if std::str::from_utf8(body).is_err()
            && ["iso-8859-", "latin", "windows-125"]
                .iter()
                .any(|it| charset.starts_with(it)) =>
        {
            Cow::Owned(body.iter().copied().map(char::from).collect())
        }
        _ => String::from_utf8_lossy(body),
    }
}

fn bounded(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content_type: &str, body: impl AsRef<[u8]>) -> Option<String> {
        read(content_type, body.as_ref()).message
    }

    #[test]
    fn the_words_are_found_in_every_form() {
        for body in [
            r#"{"error":{"message":"why"}}"#,
            r#"[{"error":{"message":"why"}}]"#,
            r#"{"error":"why"}"#,
            r#"{"error":["why"]}"#,
            r#"{"error":[{"message":"why"}]}"#,
            r#"{"errors":[{"message":"why"}]}"#,
            r#"{"error":{"errors":[{"reason":"why"}]}}"#,
            r#"{"error":{"error":{"message":"why"}}}"#,
            r#"{"error":"{\"error\":{\"message\":\"why\"}}"}"#,
            r#"{"error":{"message":"{\n  \"error\": {\"message\": \"why\"}}"}}"#,
            r#"{"message":"why"}"#,
            r#"{"object":"error","message":"why","code":400}"#,
            r#"{"type":"error","error":{"type":"x","message":"why"}}"#,
            r#"{"detail":"why"}"#,
            r#"{"statusCode":400,"error":"Bad Request","message":"why"}"#,
            r#"{"error":"invalid_request","error_description":"why"}"#,
            r#"{"type":"about:blank","title":"Bad","detail":"why"}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"why"}}"#,
            r#"{"error":{"code":400,"message":"","details":[{"reason":"why"}]}}"#,
            r#""why""#,
            r#"["why"]"#,
            "why",
            "  why\n",
            "\u{feff}{\"error\":{\"message\":\"why\"}}",
        ] {
            assert_eq!(
                message("application/json", body).as_deref(),
                Some("why"),
                "{body}"
            );
        }
        for body in [
            "",
            " ",
            "{}",
            "[]",
            "null",
            "7",
            r#"{"error":null}"#,
            r#"{"error":{"code":7}}"#,
        ] {
            assert_eq!(message("application/json", body), None, "{body}");
        }
        for (body, told) in [
            (
                r#"{"detail":[{"loc":["body","messages"],"msg":"field required"}]}"#,
                "body.messages: field required",
            ),
            (
                r#"{"detail":[{"loc":["body","messages",0],"msg":"no"},{"loc":["body","n"],"msg":"too large"}]}"#,
                "body.messages.0: no; body.n: too large",
            ),
            (
                r#"{"errors":[{"path":["model"],"message":"unknown"}]}"#,
                "model: unknown",
            ),
            (
                r#"{"error":{"type":"ValidationError","message":{"model":["unknown model"]}}}"#,
                "model: unknown model",
            ),
            (
                r#"{"message":{"messages":{"0":{"role":["is required"]}},"n":"too large"}}"#,
                "messages.0.role: is required; n: too large",
            ),
            (
                r#"{"model":["unknown model"],"n":["too large"]}"#,
                "model: unknown model; n: too large",
            ),
            (
                r#"{"title":"Invalid","status":400,"errors":{"model":["unknown model"]}}"#,
                "Invalid: model: unknown model",
            ),
            (
                r#"{"error":{"code":"model_not_found"}}"#,
                "code: model_not_found",
            ),
        ] {
            assert_eq!(
                message("application/json", body).as_deref(),
                Some(told),
                "{body}"
            );
        }
        let raw = r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"too long\"}}"}}}"#;
        assert_eq!(
            message("", raw).as_deref(),
            Some("Provider returned error: too long")
        );
    }

    #[test]
    fn pages_and_other_character_sets_are_read() {
        let page = "<!DOCTYPE html><html><head><title>502</title><style>a{b:c}</style></head>\
            <body><h1>Bad &amp; gateway</h1><script>x<y</script></body></html>";
        assert_eq!(
            message("text/html", page).as_deref(),
            Some("502 Bad & gateway")
        );
        assert_eq!(message("", "<html").as_deref(), None);
        let utf16: Vec<u8> =
            r#"{"error":"why é"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(message("", &utf16).as_deref(), Some("why é"));
        let latin = b"{\"error\":\"why \xe9\"}";
        assert_eq!(
            message("application/json; charset=ISO-8859-1", latin).as_deref(),
            Some("why é")
        );
        assert_eq!(
            message("application/json", latin).as_deref(),
            Some("why \u{fffd}")
        );
    }

    #[test]
    fn half_of_a_surrogate_pair_costs_one_character_and_words_are_bounded() {
        assert_eq!(
            message("", r#"{"error":{"message":"cut \ud83d"}}"#).as_deref(),
            Some("cut \u{fffd}")
        );
        let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(100_000));
        let words = message("", long).expect("words");
        assert_eq!(words.chars().count(), MAX_WORDS_CHARS + 1);
    }

    #[test]
    fn the_error_is_the_innermost_object() {
        for (body, code) in [
            (r#"[{"error":{"code":1}}]"#, Some(1)),
            (r#"{"code":1}"#, Some(1)),
            (r#"{"code":2,"error":{"error":{"code":1}}}"#, Some(1)),
            (r#"{"code":1,"error":"text"}"#, Some(1)),
            (r#"[]"#, None),
        ] {
            let json: Value = serde_json::from_str(body).expect("JSON");
            let found = error_object(&json).and_then(|it| it.get("code")?.as_u64());
            assert_eq!(found, code, "{body}");
        }
    }
}
