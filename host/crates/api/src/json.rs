//! Parses JSON into typed bodies. An error names the faulty field and never repeats its value.
//!
//! Reading the bytes is the business of `body`.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::unknown::{self, Place};

/// Parses a whole body, which must be a JSON object.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    if is_utf16(text) {
        return Err(utf16());
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // Serde does not check the UTF-8 of strings that it skips.
    let text = std::str::from_utf8(text).map_err(|_| {
        ApiError::bad_request("invalid_json", "the body is not UTF-8; encode it as that")
    })?;
    // Serde would accept an array for a struct, with the fields in order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => ApiError::bad_request("invalid_body", "the body must be a JSON object"),
            Err(error) => refusal(&error, "."),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        refusal(error.inner(), &field)
    })?;
    deserializer.end().map_err(|error| refusal(&error, "."))?;
    Ok(value)
}

/// The byte order mark that some Windows programs write before a text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Whether a body looks like UTF-16: it begins with a byte order mark, or with ASCII in two bytes.
pub(crate) fn is_utf16(beginning: &[u8]) -> bool {
    match beginning {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [one, other, ..] => (*one == 0) != (*other == 0),
        _ => false,
    }
}

/// The error for a body in UTF-16.
pub(crate) fn utf16() -> ApiError {
    ApiError::bad_request(
        "invalid_json",
        "the body is UTF-16; encode it as UTF-8 (RFC 8259, section 8.1)",
    )
}

/// Describes the fault in a body. The parser's own message is not used: it may repeat a value,
/// which may be a credential.
fn refusal(error: &serde_json::Error, path: &str) -> ApiError {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    let said = said
        .rsplit_once(" at line ")
        .map_or(&*said, |(said, _)| said);
    match error.classify() {
        Category::Eof if line <= 1 && column == 0 => {
            ApiError::bad_request("invalid_json", "the body is empty; send a JSON object")
        }
        Category::Eof | Category::Io => ApiError::bad_request(
            "invalid_json",
            format!("the body is not JSON: it ends too early, at line {line}, column {column}"),
        ),
        Category::Syntax if said.contains("recursion limit") => ApiError::bad_request(
            "invalid_json",
            "the body nests deeper than 128 levels; flatten it",
        ),
        Category::Syntax => ApiError::bad_request(
            "invalid_json",
            format!("the body is not JSON at line {line}, column {column}; correct it"),
        ),
        Category::Data => {
            if let Some((name, known)) = unknown::parse(said) {
                let field = if path == "." { name } else { path };
                return unknown::unknown(Place::Body, field, name, &known);
            }
            if let Some(field) = quoted(said, "missing field `") {
                return ApiError::invalid_field(
                    field,
                    format!("the field {field} is missing; give it"),
                );
            }
            if let Some(field) = quoted(said, "duplicate field `") {
                return ApiError::invalid_field(
                    field,
                    format!("the field {field} is given twice; give it once"),
                );
            }
            let what = match path {
                "." => "the body".to_owned(),
                field => format!("the field {field}"),
            };
            let refused = match (
                said.starts_with("invalid "),
                said.rsplit_once(", expected "),
            ) {
                (true, Some((_, expected))) => format!("{what} must be {expected}"),
                (true, None) => format!("{what} has a value of the wrong kind"),
                // This message comes from a type of this project, and those never repeat
                // credentials.
                (false, _) => format!("{what} is refused: {said}"),
            };
            match path {
                "." => ApiError::bad_request("invalid_body", refused),
                field => ApiError::invalid_field(field, refused),
            }
        }
    }
}

fn quoted<'a>(said: &'a str, start: &str) -> Option<&'a str> {
    said.strip_prefix(start)?.strip_suffix('`')
}

/// Any JSON in which no object has a key twice: two parsers could take different values.
pub struct UniqueKeys(pub Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor).map(Self)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(UniqueKeys(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let UniqueKeys(value) = members.next_value()?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("an object has a key twice; give it once"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// A text in which each half of a surrogate pair, which JSON can escape, is replaced by U+FFFD.
pub struct MendedText(pub String);

impl<'de> Deserialize<'de> for MendedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde_json accepts escaped half surrogates only when it reads bytes, but then it also
        // accepts raw control characters. The first pass, as a `RawValue`, refuses those.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        serde_json::Deserializer::from_str(raw.get())
            .deserialize_bytes(MendedTextVisitor)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

struct MendedTextVisitor;

impl Visitor<'_> for MendedTextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<String, E> {
        let mut mended = bytes.to_vec();
        for at in 0..mended.len().saturating_sub(2) {
            // Only surrogates begin with these bytes.
            if let [0xed, 0xa0..=0xbf, _] = mended[at..at + 3] {
                mended[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
            }
        }
        String::from_utf8(mended).map_err(|_| E::custom("it is not UTF-8"))
    }
}

/// Distinguishes `null` from absent: `Some(None)` and `None`, together with `#[serde(default)]`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault_core::VaultName;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        name: VaultName,
        count: Option<u32>,
        #[serde(default)]
        metadata: Option<UniqueKeys>,
        inner: Option<Inner>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        agent: Option<String>,
    }

    fn message(text: &str) -> (String, String) {
        match parse::<Sample>(text.as_bytes()) {
            Ok(_) => panic!("{text} was taken"),
            Err(error) => (error.code().to_owned(), error.message().to_owned()),
        }
    }

    #[test]
    fn the_field_at_fault_is_named_and_its_content_is_not() {
        for (text, code, said) in [
            ("", "invalid_json", "the body is empty; send a JSON object"),
            (
                "{",
                "invalid_json",
                "the body is not JSON: it ends too early, at line 1, column 1",
            ),
            (
                "{]",
                "invalid_json",
                "the body is not JSON at line 1, column 2; correct it",
            ),
            (
                "{} {}",
                "invalid_field",
                "the field name is missing; give it",
            ),
            (
                r#"{"name": "a"} {}"#,
                "invalid_json",
                "the body is not JSON at line 1, column 15; correct it",
            ),
            (
                r#"{"name": "a", "name": "b"}"#,
                "invalid_field",
                "the field name is given twice; give it once",
            ),
            (
                r#"{"name": 7}"#,
                "invalid_field",
                "the field name must be a string",
            ),
            (
                r#"{"name": "a", "count": "hunter2, expected 2"}"#,
                "invalid_field",
                "the field count must be u32",
            ),
            (
                r#""hunter2""#,
                "invalid_body",
                "the body must be a JSON object",
            ),
            (
                r#"{"name": ""}"#,
                "invalid_field",
                "the field name is refused: a vault name cannot be blank; use 1 to 128 printable characters",
            ),
            (
                r#"{"nam": "hunter2"}"#,
                "unknown_field",
                "the body takes no field nam; did you mean name?",
            ),
            (
                r#"{"name": "a", "inner": {"agnt": "hunter2"}}"#,
                "unknown_field",
                "the body takes no field inner.agnt; did you mean agent?",
            ),
            (
                r#"{"name": "a", "metadata": {"a": [{"b": 1, "b": 2}]}}"#,
                "invalid_field",
                "the field metadata.a[0] is refused: an object has a key twice; give it once",
            ),
        ] {
            assert_eq!(message(text), (code.to_owned(), said.to_owned()), "{text}");
        }
        let deep = format!(r#"{{"name": "a", "metadata": {}"#, "[".repeat(10_000));
        assert_eq!(
            message(&deep).1,
            "the body nests deeper than 128 levels; flatten it"
        );
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_utf_16_is_named() {
        let UniqueKeys(value) = parse("\u{feff}{\"a\": 1}".as_bytes()).expect("valid");
        assert_eq!(value["a"], 1);
        let text = r#"{"a": 1}"#;
        let wide = |unit: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            text.encode_utf16().flat_map(unit).collect()
        };
        for bytes in [
            wide(u16::to_le_bytes, text),
            wide(u16::to_be_bytes, text),
            wide(u16::to_le_bytes, &format!("\u{feff}{text}")),
            wide(u16::to_be_bytes, &format!("\u{feff}{text}")),
        ] {
            let refused = parse::<UniqueKeys>(&bytes).map(|_| ()).expect_err("UTF-16");
            assert_eq!(refused.code(), "invalid_json");
            assert!(
                refused.message().contains("UTF-16"),
                "{}",
                refused.message()
            );
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_mended() {
        #[derive(Deserialize)]
        struct Program {
            code: MendedText,
        }
        let code = |text: &str| parse::<Program>(text.as_bytes()).map(|it| it.code.0);
        for (escaped, mended) in [
            (r"x \ud83d", "x \u{fffd}"),
            (r"\ude00\ud83d y", "\u{fffd}\u{fffd} y"),
            (r"\ud83d\ude00 é日本\n", "\u{1f600} é日本\n"),
            ("\u{d7ff}\u{e000}", "\u{d7ff}\u{e000}"),
        ] {
            let text = format!(r#"{{"code": "{escaped}"}}"#);
            assert_eq!(code(&text).expect("taken"), mended, "{escaped}");
        }
        for wrong in [
            r#"{"code": 7}"#,
            r#"{"code": [104, 105]}"#,
            r#"{"code": null}"#,
        ] {
            let refused = code(wrong).expect_err(wrong);
            assert_eq!(refused.message(), "the field code must be a string");
        }
    }

    #[test]
    fn json_survives_the_check_for_keys() {
        let text = r#"{"a":[1,-2,3.5,"x",true,null,{}]}"#;
        let UniqueKeys(value) = parse(text.as_bytes()).expect("valid");
        assert_eq!(value.to_string(), text);
    }
}
