//! JSON as upstreams write it. Strict JSON is read as it is. What a strict reader refuses is mended
//! where the meaning is plain, so that one odd character does not cost the whole answer.

use serde::de::DeserializeOwned;

/// Numbers that JSON has no form for, and that some writers write all the same.
const NO_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads a JSON text. Where it is not strict JSON, these become: half of a surrogate pair and bytes
/// that are no UTF-8, U+FFFD; `NaN` and `Infinity`, their text; control characters in texts and
/// unknown escapes, themselves. A byte order mark goes.
///
/// # Errors
/// What the strict reader says of the text as it came.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| {
        let mended = mended(&String::from_utf8_lossy(text));
        serde_json::from_str(&mended).map_err(|_| error)
    })
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

/// Writes a string with its quotes, and gives what follows it.
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

/// Writes the escape whose backslash stands before `rest`.
fn mend_escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    match rest.chars().next() {
        Some(known @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
            out.extend(['\\', known]);
            &rest[1..]
        }
        Some('u') => match (code_unit(rest), rest.get(5..).and_then(second_unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                out.push('\\');
                out.push_str(&rest[..11]);
                &rest[11..]
            }
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                &rest[5..]
            }
            (Some(_), _) => {
                out.push('\\');
                out.push_str(&rest[..5]);
                &rest[5..]
            }
            (None, _) => {
                out.push_str("\\\\");
                rest
            }
        },
        _ => {
            out.push_str("\\\\");
            rest
        }
    }
}

fn second_unit(rest: &str) -> Option<u16> {
    code_unit(rest.strip_prefix('\\')?)
}

/// The number in `uXXXX`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
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
