//! JSON as upstreams write it. Strict JSON is read as it is. Text that a strict reader refuses is
//! mended where the meaning is plain, so that one odd character does not cost the whole answer.

use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Numbers that JSON has no form for, but that some writers write.
const NO_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads a JSON text. Text that is not strict JSON is mended: halves of surrogate pairs and bytes
/// that are no UTF-8 become U+FFFD, `NaN` and `Infinity` become strings, control characters in
/// strings and unknown escapes stand for themselves, and a byte order mark is removed.
///
/// # Errors
/// The strict reader's error for the original text.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| {
        let text = String::from_utf8_lossy(text);
        let mended = mended(&without_half_pairs(&text));
        serde_json::from_str(&mended).map_err(|_| error)
    })
}

/// A JSON text with U+FFFD in place of each escape that is half of a surrogate pair, as cut text
/// has.
pub fn without_half_pairs(text: &str) -> Cow<'_, str> {
    let escape = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut clean = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match escape(at) {
            Some(0xd800..=0xdbff) if matches!(escape(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                clean.push_str(&text[copied..at]);
                clean.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // The character after a backslash is a part of the escape, whatever its length.
            _ => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[copied..]);
    Cow::Owned(clean)
}

fn mended(text: &str) -> String {
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut out = String::with_capacity(rest.len() + 16);
    while let Some(next) = rest.chars().next() {
        if next == '"' {
            rest = mend_string(&rest[1..], &mut out);
        } else if let Some(word) = NO_NUMBERS.into_iter().find(|word| rest.starts_with(word)) {
            out.extend(['"'].into_iter().chain(word.chars()).chain(['"']));
            rest = &rest[word.len()..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// Writes a string with its quotes, and returns the text after it.
fn mend_string<'a>(mut rest: &'a str, out: &mut String) -> &'a str {
    out.push('"');
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '"' => {
                out.push('"');
                return rest;
            }
            '\\' => rest = mend_escape(rest, out),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
    rest
}

/// Writes the escape whose backslash stands before `rest`, and returns the text after it.
fn mend_escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    match rest.chars().next() {
        Some(known @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
            out.extend(['\\', known]);
            &rest[1..]
        }
        Some('u') if is_code_unit(rest) => {
            out.push('\\');
            out.push_str(&rest[..5]);
            &rest[5..]
        }
        _ => {
            out.push_str("\\\\");
            rest
        }
    }
}

/// Whether `text` begins with `uXXXX`.
fn is_code_unit(text: &str) -> bool {
    let digits = text.strip_prefix('u').and_then(|text| text.get(..4));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn value(text: &[u8]) -> Value {
        read(text).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(text)))
    }

    #[test]
    fn half_of_a_surrogate_pair_is_one_strange_character() {
        for (text, read) in [
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""cut \ud83d\"x""#, "cut \u{fffd}\"x"),
            (r#""\uDE00 and \ud83d\ude00""#, "\u{fffd} and \u{1f600}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83d\n\u00e9\\ud83d""#, "\u{fffd}\n\u{e9}\\ud83d"),
            (r#""\ud83dé""#, "\u{fffd}é"),
        ] {
            assert_eq!(value(text.as_bytes()), json!(read), "{text}");
        }
        assert_eq!(value(br#"{"\udc00":1}"#), json!({ "\u{fffd}": 1 }));
    }

    #[test]
    fn only_halves_of_pairs_are_replaced_in_a_text() {
        for (text, clean) in [
            (r"\ud83d\ude00", r"\ud83d\ude00"),
            (r"\ude00\ud83d", r"\ufffd\ufffd"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\\ud83d", r"\\ud83d"),
            (r"\\\ud83d", r"\\\ufffd"),
            (r"\u00e9\n\", r"\u00e9\n\"),
            ("\\é\\ud83", "\\é\\ud83"),
        ] {
            assert_eq!(without_half_pairs(text), clean, "{text}");
        }
    }

    #[test]
    fn what_is_nearly_json_is_read() {
        assert_eq!(value(b"\xef\xbb\xbf {\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(value(b"\"a\xffb\""), json!("a\u{fffd}b"));
        assert_eq!(value(b"\"a\nb\tc\""), json!("a\nb\tc"));
        assert_eq!(
            value(br#""\x41 \' \u12 NaN""#),
            json!("\\x41 \\' \\u12 NaN")
        );
        assert_eq!(
            value(br#"{"a":NaN,"b":[-Infinity,Infinity,1]}"#),
            json!({ "a": "NaN", "b": ["-Infinity", "Infinity", 1] })
        );
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        for wrong in [
            "", "<html>", "{\"a\":", "\"open", "\"\\", "\"\\u", "{a:1}", "1 2", "Nan",
        ] {
            assert!(read::<Value>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
