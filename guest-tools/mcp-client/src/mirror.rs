//! Parameters that a server of the revision 2026-07-28 also wants in headers (`x-mcp-header` in a
//! tool's input schema), and the form of their values there.
//!
//! Source: Streamable HTTP, «Custom Headers from Tool Parameters» and «Value Encoding», of that
//! revision.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

const ANNOTATION: &str = "x-mcp-header";
/// The largest whole number that every JSON reader represents exactly.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A parameter that also goes into a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// The whole name of the header.
    pub header: String,
    /// The keys that lead to the value.
    path: Vec<String>,
}

/// The parameters that an input schema wants mirrored.
///
/// # Errors
/// An annotation breaks the protocol's rules. Such a tool must not be shown.
pub fn mirrored(schema: &Value) -> Result<Vec<Mirrored>, &'static str> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), true, &mut found)?;
    let mut names: Vec<String> = found.iter().map(|it| it.header.to_lowercase()).collect();
    names.sort();
    names.dedup();
    match names.len() == found.len() {
        true => Ok(found),
        false => Err("two parameters want the same header"),
    }
}

fn walk(
    schema: &Value,
    path: &mut Vec<String>,
    is_reachable: bool,
    found: &mut Vec<Mirrored>,
) -> Result<(), &'static str> {
    match schema {
        Value::Array(list) => list
            .iter()
            .try_for_each(|one| walk(one, path, false, found)),
        Value::Object(schema) => {
            if let Some(name) = schema.get(ANNOTATION) {
                if !is_reachable || path.is_empty() {
                    return Err("the annotation is not at a plain parameter");
                }
                found.push(Mirrored {
                    header: header(name, schema)?,
                    path: path.clone(),
                });
            }
            for (key, value) in schema {
                match (key.as_str(), value) {
                    ("properties", Value::Object(properties)) => {
                        for (name, property) in properties {
                            path.push(name.clone());
                            walk(property, path, is_reachable, found)?;
                            path.pop();
                        }
                    }
                    // These members are data, in which the annotation has no meaning.
                    ("default" | "const" | "enum" | "examples" | ANNOTATION, _) => {}
                    _ => walk(value, path, false, found)?,
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn header(name: &Value, schema: &Map<String, Value>) -> Result<String, &'static str> {
    let name = name.as_str().ok_or("a header's name is no text")?;
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(in_token) {
        return Err("a header's name has other characters than a header may");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string" | "integer" | "boolean") => Ok(format!("Mcp-Param-{name}")),
        _ => Err("only a string, an integer or a boolean can be in a header"),
    }
}

impl Mirrored {
    /// The header's value for these arguments, if they hold one.
    pub fn value(&self, arguments: &Map<String, Value>) -> Option<String> {
        let (last, way) = self.path.split_last()?;
        let holder = way
            .iter()
            .try_fold(arguments, |object, key| object.get(key)?.as_object())?;
        let text = match holder.get(last)? {
            Value::String(text) => text.clone(),
            Value::Bool(is_so) => is_so.to_string(),
            Value::Number(number) => {
                let number = number.as_i64()?;
                (number.unsigned_abs() <= MAX_SAFE_INTEGER).then(|| number.to_string())?
            }
            _ => return None,
        };
        Some(encoded(&text))
    }
}

/// A text as the value of a header. It stays as it is where a header can carry it. Otherwise it
/// becomes Base64 between marks.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    let is_marked = text.starts_with("=?base64?") && text.ends_with("?=");
    if text.bytes().all(plain) && text.trim() == text && !is_marked {
        return text.to_owned();
    }
    format!("=?base64?{}?=", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_encodings_of_the_specification() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encoded(text), value);
        }
    }

    #[test]
    fn values_are_taken_from_where_the_schema_says() {
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "row": { "type": "object", "properties": {
                "number": { "type": "integer", "x-mcp-header": "Row" },
                "is_last": { "type": "boolean", "x-mcp-header": "Last" },
            }},
            "query": { "type": "string", "default": { "x-mcp-header": 1 } },
        }});
        let mirrored = mirrored(&schema).expect("valid");
        let values = |arguments: Value| -> Vec<(String, Option<String>)> {
            let arguments = arguments.as_object().expect("an object");
            let value = |it: &Mirrored| (it.header.clone(), it.value(arguments));
            mirrored.iter().map(value).collect()
        };
        let some = |name: &str, value: &str| (format!("Mcp-Param-{name}"), Some(value.to_owned()));
        let none = |name: &str| (format!("Mcp-Param-{name}"), None);
        assert_eq!(
            values(json!({ "region": "a\r\nb: c", "row": { "number": -7, "is_last": true } })),
            [
                some("Region", "=?base64?YQ0KYjogYw==?="),
                some("Row", "-7"),
                some("Last", "true")
            ]
        );
        assert_eq!(
            values(json!({ "region": null, "row": { "number": 1.5 }, "Last": true })),
            [none("Region"), none("Row"), none("Last")]
        );
    }

    #[test]
    fn an_annotation_against_the_rules_is_refused() {
        let property = |it: Value| json!({ "properties": { "a": it } });
        let text = |name: &str| json!({ "type": "string", "x-mcp-header": name });
        for schema in [
            json!({ "x-mcp-header": "A", "type": "string" }),
            property(json!({ "type": "number", "x-mcp-header": "A" })),
            property(json!({ "x-mcp-header": "A" })),
            property(json!({ "type": "string", "x-mcp-header": 7 })),
            property(text("")),
            property(text("A B")),
            property(text("A\r\nB")),
            property(json!({ "type": "array", "items": text("A") })),
            property(json!({ "oneOf": [text("A")] })),
            json!({ "$defs": { "a": text("A") } }),
            json!({ "anyOf": [property(text("A"))] }),
            json!({ "properties": { "a": text("A"), "b": text("a") } }),
        ] {
            assert!(mirrored(&schema).is_err(), "{schema}");
        }
        assert_eq!(mirrored(&json!({ "type": "object" })), Ok(Vec::new()));
    }
}
