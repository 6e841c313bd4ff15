//! Halves of surrogate pairs in JSON that a program made.
//!
//! JavaScript's strings may hold them. No other text may, and a reader of JSON refuses the whole
//! text for one half. Outgoing text has U+FFFD in their place.

use std::borrow::Cow;

/// The length of `\ud83d`.
const ESCAPE: usize = 6;

/// `json` without lone halves. The engine writes an escape of a surrogate only for a lone half.
pub fn json(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = if is_surrogate(rest) {
            clean.push(char::REPLACEMENT_CHARACTER);
            ESCAPE
        } else {
            // Copy the backslash and the character that it escapes, which is ASCII.
            let length = rest.len().min(2);
            clean.push_str(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

fn is_surrogate(escape: &str) -> bool {
    let bytes = escape.as_bytes();
    bytes.starts_with(b"\\ud")
        && bytes.len() >= ESCAPE
        && matches!(bytes[3], b'8'..=b'9' | b'a'..=b'f')
        && bytes[4..ESCAPE].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_half_is_replaced_wherever_it_stands() {
        assert_eq!(
            json(r#"{"\ud83d":"a\udc00"}"#),
            "{\"\u{fffd}\":\"a\u{fffd}\"}"
        );
        assert_eq!(json(r#""\\\ud83d\\""#), "\"\\\\\u{fffd}\\\\\"");
        assert_eq!(json(r#""\ud83d\ud83d""#), "\"\u{fffd}\u{fffd}\"");
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            r#""😀 \\ud83d \n \ud7ff \u0000""#,
            r#"{"a":"\\\\ud83d","b":1}"#,
            "",
            "\\",
            "\\ud",
        ] {
            assert_eq!(json(text), text);
        }
    }
}
