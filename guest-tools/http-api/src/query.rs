//! The query of a request. Names and values are encoded here. A name from an agent is refused if
//! any server could read it as the parameter that carries the credential.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use trusted_tool::ToolError;

use crate::input::{invalid, scalar};

/// The characters that are encoded: all but those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The parameter by which some frameworks replace the request's method.
pub const METHOD_OVERRIDE: &str = "_method";
pub const OVERRIDES_THE_METHOD: &str =
    "the parameter \"_method\" would change the method of the request; leave it out";

/// The query, as far as it is written.
#[derive(Debug, Default)]
pub struct Query {
    text: String,
    /// The name of the credential's parameter, in the form in which names are compared.
    slot: Option<String>,
}

/// The form of a value with several parts (OpenAPI's `style` and `explode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `a=1&a=2`. Each field of an object is a parameter of its own.
    FormExploded,
    /// The parts in one value, with this separator between them.
    Joined(&'static str),
    /// `a[b]=1`.
    DeepObject,
}

impl Query {
    /// Returns an empty query. `slot` is the parameter of the credential, if the credential is in
    /// the query.
    pub fn new(slot: Option<&str>) -> Self {
        Self {
            text: String::new(),
            slot: slot.map(plain),
        }
    }

    /// Returns the query as it stands in a URL, without its question mark.
    pub fn written(&self) -> &str {
        &self.text
    }

    /// Adds the parameters of a plain object. The operation `request` has them in this form.
    ///
    /// # Errors
    /// `invalid_input` naming the parameter.
    pub fn add_all(&mut self, parameters: &Map<String, Value>) -> Result<(), ToolError> {
        for (name, value) in parameters {
            self.add(name, value, Style::FormExploded)?;
        }
        Ok(())
    }

    /// Adds one parameter. `null` adds nothing.
    ///
    /// # Errors
    /// `invalid_input` naming the parameter.
    pub fn add(&mut self, name: &str, value: &Value, style: Style) -> Result<(), ToolError> {
        match (value, style) {
            (Value::Null, _) => Ok(()),
            (Value::Array(list), Style::Joined(separator)) => {
                let parts: Result<Vec<_>, _> = list.iter().map(|it| text_of(name, it)).collect();
                self.push(name, &parts?, separator)
            }
            (Value::Array(list), Style::FormExploded | Style::DeepObject) => {
                for value in list {
                    self.push(name, &[text_of(name, value)?], "")?;
                }
                Ok(())
            }
            (Value::Object(fields), Style::DeepObject) => {
                for (field, value) in fields {
                    self.add_deep(&format!("{name}[{field}]"), value)?;
                }
                Ok(())
            }
            (Value::Object(fields), Style::FormExploded) => {
                for (field, value) in fields {
                    self.push(field, &[text_of(field, value)?], "")?;
                }
                Ok(())
            }
            (Value::Object(fields), Style::Joined(separator)) => {
                let mut parts = Vec::new();
                for (field, value) in fields {
                    parts.extend([field.clone(), text_of(field, value)?]);
                }
                self.push(name, &parts, separator)
            }
            (value, _) => self.push(name, &[text_of(name, value)?], ""),
        }
    }

    fn add_deep(&mut self, name: &str, value: &Value) -> Result<(), ToolError> {
        match value {
            Value::Null => Ok(()),
            Value::Object(fields) => {
                for (field, value) in fields {
                    self.add_deep(&format!("{name}[{field}]"), value)?;
                }
                Ok(())
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    self.add_deep(&format!("{name}[{at}]"), value)?;
                }
                Ok(())
            }
            value => self.push(name, &[text_of(name, value)?], ""),
        }
    }

    fn push(&mut self, name: &str, parts: &[String], separator: &str) -> Result<(), ToolError> {
        let known = plain(name);
        if known.is_empty() {
            return Err(invalid("a parameter of the query has no name"));
        }
        if known == METHOD_OVERRIDE {
            return Err(invalid(OVERRIDES_THE_METHOD));
        }
        if self.slot.as_ref().is_some_and(|slot| *slot == known) {
            return Err(invalid(format!(
                "the parameter {} of the query carries the credential; leave it out",
                shown(name)
            )));
        }
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.extend(utf8_percent_encode(name, RESERVED));
        self.text.push('=');
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text.extend(utf8_percent_encode(separator, RESERVED));
            }
            self.text.extend(utf8_percent_encode(part, RESERVED));
        }
        Ok(())
    }
}

/// Returns a name as the loosest servers compare it: in lower case, without blanks around it and
/// without the part in brackets. Characters that some frameworks replace with `_` become `_`.
pub fn plain(name: &str) -> String {
    // PHP replaces a bracket at the beginning of a name with `_`.
    let name = match name.trim_start().strip_prefix('[') {
        Some(rest) => &format!("_{rest}"),
        None => name,
    };
    let end = name.find(['[', '\0']).unwrap_or(name.len());
    let name = name[..end].trim_matches(|it: char| it.is_whitespace() || it.is_control());
    let signs = name.chars().map(|it| match it {
        '.' | ' ' | '-' => '_',
        other => other,
    });
    signs.flat_map(char::to_lowercase).collect()
}

fn text_of(name: &str, value: &Value) -> Result<String, ToolError> {
    scalar(value).ok_or_else(|| {
        invalid(format!(
            "the parameter {} of the query is no text, number or boolean, and no list of them",
            shown(name)
        ))
    })
}

/// Returns the part of a name that a message repeats.
fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(name: &str, value: Value, style: Style) -> String {
        let mut query = Query::new(None);
        query.add(name, &value, style).expect(name);
        query.written().to_owned()
    }

    #[test]
    fn values_are_encoded_in_each_style() {
        const FORM: Style = Style::FormExploded;
        for (name, value, style, expected) in [
            ("q", json!("a b&c=d#é"), FORM, "q=a%20b%26c%3Dd%23%C3%A9"),
            ("q&x", json!(7), FORM, "q%26x=7"),
            ("q", json!(true), FORM, "q=true"),
            ("q", json!(null), FORM, ""),
            ("q", json!(["a", 1]), FORM, "q=a&q=1"),
            ("q", json!({"a": 1, "b": 2}), FORM, "a=1&b=2"),
            ("q", json!(["a,b", 1]), Style::Joined(","), "q=a%2Cb%2C1"),
            ("q", json!(["a", 1]), Style::Joined("|"), "q=a%7C1"),
            ("q", json!({"a": 1}), Style::Joined(","), "q=a%2C1"),
            (
                "q",
                json!({"a": {"b": [1]}}),
                Style::DeepObject,
                "q%5Ba%5D%5Bb%5D%5B0%5D=1",
            ),
            ("q", json!("a\r\nX: 1"), FORM, "q=a%0D%0AX%3A%201"),
        ] {
            assert_eq!(written(name, value, style), expected);
        }
        for wrong in [json!([[1]]), json!([{}]), json!({"a": {}})] {
            let mut query = Query::new(None);
            assert!(query.add("q", &wrong, FORM).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_name_reaches_the_slot() {
        for name in [
            "api_key",
            "API_KEY",
            " api_key ",
            "api_key[]",
            "api_key[x",
            "api.key",
            "api-key",
            "api_key\0x",
            "api_key\t",
        ] {
            let mut query = Query::new(Some("api_key"));
            let error = query.add(name, &json!("mine"), Style::FormExploded);
            let error = error.expect_err(name);
            assert_eq!(error.code, "invalid_input");
            assert!(error.message.contains("carries the credential"), "{name}");
            assert_eq!(query.written(), "", "{name}");
        }
        let mut query = Query::new(Some("key"));
        let fields = json!({"a": 1, "Key": "mine"});
        query
            .add("filter", &fields, Style::FormExploded)
            .expect_err("a field of an object is a parameter");
        let mut query = Query::new(Some("key"));
        query
            .add("keys", &json!(1), Style::FormExploded)
            .expect("another name");
        for wrong in ["", "_method", "_METHOD"] {
            query
                .add(wrong, &json!(1), Style::FormExploded)
                .expect_err(wrong);
        }
    }
}
