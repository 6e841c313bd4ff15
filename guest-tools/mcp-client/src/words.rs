//! A server's own words, in whatever form they stand, on one line and within bounds.

use serde_json::Value;
use trusted_tool::{json, page};

/// The number of characters of a server's words that are passed on.
const MAX_SHOWN_CHARS: usize = 2_000;
/// The number of characters that are shown of a body that is no message.
const MAX_BODY_CHARS: usize = 500;
/// The number of bytes of a body that is no JSON in which words are looked for.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The members in which JSON keeps its words, the best one first.
const PLACES: [&str; 10] = [
    "/error/message",
    "/error_description",
    "/message",
    "/detail",
    "/error",
    "/errors/0/message",
    "/errors/0",
    "/title",
    "/reason",
    "/content/0/text",
];

/// A server's words, on one line and no longer than a message may be.
pub fn shown(text: &str) -> String {
    bounded(text, MAX_SHOWN_CHARS)
}

/// A server's words, on one line and no longer than `max_chars`.
pub fn bounded(text: &str, max_chars: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(max_chars)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(max_chars).is_some() {
        shown.push('…');
    }
    shown
}

/// The words in a body of any form, on one line.
pub fn in_body(body: &[u8]) -> String {
    let text = match json::read::<Value>(body) {
        Ok(json) => in_json(&json),
        Err(_) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT_BYTES)]);
            match text.trim_start().starts_with('<') {
                true => page::without_tags(&text),
                false => text.into_owned(),
            }
        }
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    bounded(&words.join(" "), MAX_BODY_CHARS)
}

/// Returns the words in a JSON value, or the whole value if no member is known to hold words.
pub fn in_json(json: &Value) -> String {
    let json = json.get(0).unwrap_or(json);
    let found = PLACES.iter().find_map(|place| {
        let text = json.pointer(place)?.as_str()?;
        (!text.trim().is_empty()).then_some(text)
    });
    match (found.or(json.as_str()), json) {
        (Some(text), _) => text.to_owned(),
        (None, Value::Null) => String::new(),
        (None, json) => json.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_form() {
        for (body, found) in [
            ("", ""),
            ("  no \n room\t", "no room"),
            (
                "<html><head><style>a{}</style><title>Bad gateway</title></head><body><h1>502",
                "Bad gateway 502",
            ),
            ("<html>error code: 1010</html>", "error code: 1010"),
            (r#"{"error":{"message":"no room"}}"#, "no room"),
            (
                r#"{"error":"invalid_token","error_description":"it ran out"}"#,
                "it ran out",
            ),
            (r#"{"detail":"no room"}"#, "no room"),
            (r#"[{"message":"no room"}]"#, "no room"),
            (r#""no room""#, "no room"),
            (
                r#"{"detail":[{"msg":"no"}]}"#,
                r#"{"detail":[{"msg":"no"}]}"#,
            ),
            ("null", ""),
        ] {
            assert_eq!(in_body(body.as_bytes()), found, "{body}");
        }
        let long = in_body("no room ".repeat(1_000).as_bytes());
        assert_eq!(long.chars().count(), MAX_BODY_CHARS + 1);
    }

    #[test]
    fn a_servers_words_are_one_bounded_line() {
        assert_eq!(shown("a\nb\u{1b}[2J"), "a b [2J");
        let long = shown(&"é".repeat(3_000));
        assert_eq!(long.chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
