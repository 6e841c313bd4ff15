//! Reads the input of an operation field by field. A field that the operation does not have is
//! refused.

use serde_json::{Map, Value};
use trusted_tool::{ToolError, tool_error};

/// The minimum similarity of two names, from 0 to 1, for one to be proposed for the other.
const LIKENESS_MIN: f64 = 0.75;
/// Limits the fields that a message lists.
const MAX_LISTED: usize = 24;

/// The fields of an input that were not read yet.
pub struct Fields {
    operation: String,
    left: Map<String, Value>,
    known: Vec<String>,
}

impl Fields {
    /// Parses an input.
    ///
    /// # Errors
    /// `invalid_input`: the text is no JSON object.
    pub fn parse(operation: &str, input: &str) -> Result<Self, ToolError> {
        match serde_json::from_str(input) {
            Ok(Value::Object(left)) => Ok(Self {
                operation: operation.to_owned(),
                left,
                known: Vec::new(),
            }),
            _ => Err(invalid(format!(
                "the input of {operation} is not a JSON object"
            ))),
        }
    }

    /// Removes and returns the value of a field. `null` counts as no value.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.known.push(name.to_owned());
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// Removes and returns the value of a required field.
    ///
    /// # Errors
    /// `invalid_input` naming the field.
    pub fn required(&mut self, name: &str) -> Result<Value, ToolError> {
        let operation = self.operation.clone();
        self.take(name)
            .ok_or_else(|| invalid(format!("the field {name:?} of {operation} is missing")))
    }

    /// Removes and returns a boolean field. A missing field is `false`.
    ///
    /// # Errors
    /// `invalid_input` naming the field, if it is no boolean.
    pub fn flag(&mut self, name: &str) -> Result<bool, ToolError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.misfit(name, "true or false")),
        }
    }

    /// Removes and returns the fields of an object, if there is one.
    ///
    /// # Errors
    /// `invalid_input` naming the field, if it is no object.
    pub fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ToolError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(self.misfit(name, "an object")),
        }
    }

    /// Returns the error for a field of another kind than expected.
    pub fn misfit(&self, name: &str, expected: &str) -> ToolError {
        invalid(format!(
            "the field {name:?} of {} is not {expected}",
            self.operation
        ))
    }

    /// Refuses the fields that were not read.
    ///
    /// # Errors
    /// `invalid_input` naming the first of these fields, and the known one that it resembles.
    pub fn end(self) -> Result<(), ToolError> {
        let Some(name) = self.left.keys().next() else {
            return Ok(());
        };
        let shown: String = name.chars().take(64).collect();
        let nearest = nearest(name, &self.known);
        let has = match (nearest, self.known.as_slice()) {
            (Some(near), _) => format!("; did you mean {near:?}?"),
            (None, []) => "; it has none".to_owned(),
            (None, known) if known.len() > MAX_LISTED => format!(
                "; it has {} and {} more",
                known[..MAX_LISTED].join(", "),
                known.len() - MAX_LISTED
            ),
            (None, known) => format!("; it has {}", known.join(", ")),
        };
        Err(invalid(format!(
            "{} has no field {shown:?}{has}",
            self.operation
        )))
    }
}

/// Returns the known name that is most like the written one, if one is like it.
fn nearest<'a>(written: &str, known: &'a [String]) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let written: String = plain(written).chars().take(64).collect();
    let alike = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&written, &plain(known)), known));
    let near = alike.filter(|(likeness, _)| *likeness > LIKENESS_MIN);
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.as_str())
}

/// Returns a text, a number or a boolean as text.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns the error for an input that the operation cannot use.
pub fn invalid(message: impl Into<String>) -> ToolError {
    tool_error("invalid_input", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_told_with_the_nearest_name() {
        let told = |input: &str| {
            let mut fields = Fields::parse("issues_create", input).expect("an object");
            for known in ["owner", "repo", "title"] {
                fields.take(known);
            }
            fields.end().map_err(|error| error.message)
        };
        assert_eq!(told(r#"{"owner":"a","title":null}"#), Ok(()));
        assert_eq!(
            told(r#"{"onwer":"a"}"#).expect_err("unknown"),
            "issues_create has no field \"onwer\"; did you mean \"owner\"?"
        );
        assert_eq!(
            told(r#"{"host":"a"}"#).expect_err("unknown"),
            "issues_create has no field \"host\"; it has owner, repo, title"
        );
        assert!(Fields::parse("x", "[]").is_err());
    }

    #[test]
    fn a_field_of_another_kind_is_named() {
        let fields = || Fields::parse("x", r#"{"a":7}"#).expect("an object");
        for error in [
            fields().flag("a").map(drop),
            fields().object("a").map(drop),
            fields().required("b").map(drop),
        ] {
            let error = error.expect_err("of another kind");
            assert_eq!(error.code, "invalid_input");
            assert!(error.message.contains("the field \""), "{}", error.message);
        }
    }
}
