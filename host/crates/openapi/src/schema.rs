//! JSON Schemas of a document with their `$ref`s written out, so that each schema needs no other
//! text. A part that is recursive or too deep becomes "any value". This is safe: a schema tells a
//! model what to write, and the API checks what it receives.

use serde_json::{Map, Value, json};

use crate::reference::{ReferenceError, References, reference};

/// Limits the depth of schemas within one another, with `$ref`s written out.
const MAX_DEPTH: usize = 48;

/// Keywords whose values are copied unchanged.
const PLAIN: [&str; 21] = [
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "title",
    "type",
    "uniqueItems",
    "deprecated",
];
/// Keywords whose value is one schema.
const SCHEMA: [&str; 5] = [
    "additionalProperties",
    "contains",
    "items",
    "not",
    "propertyNames",
];
/// Keywords whose value is a list of schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// The reason why a schema cannot be written out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SchemaFault {
    /// The schema has more bytes than are left. A shorter form may fit.
    TooLong,
    /// A `$ref` of the schema leads nowhere.
    Reference(ReferenceError),
}

/// Writes schemas out, up to a number of bytes.
pub(crate) struct Writer<'d> {
    references: References<'d>,
    /// Limits how many `$ref`s are written out within one another.
    max_refs: usize,
    with_descriptions: bool,
    bytes_left: usize,
    /// The `$ref`s that are being written out now, to find recursion.
    open: Vec<&'d str>,
}

impl<'d> Writer<'d> {
    pub(crate) fn new(
        references: References<'d>,
        max_refs: usize,
        with_descriptions: bool,
        max_bytes: usize,
    ) -> Self {
        Self {
            references,
            max_refs,
            with_descriptions,
            bytes_left: max_bytes,
            open: Vec::new(),
        }
    }

    /// Returns the schema with its `$ref`s written out.
    pub(crate) fn write(&mut self, schema: &'d Value) -> Result<Value, SchemaFault> {
        self.write_at(schema, 0)
    }

    /// Returns a description, or `None` if this form has no descriptions.
    pub(crate) fn described(&mut self, text: &str) -> Result<Option<String>, SchemaFault> {
        if !self.with_descriptions {
            return Ok(None);
        }
        self.take(text.len() + 18)?;
        Ok(Some(text.to_owned()))
    }

    fn take(&mut self, bytes: usize) -> Result<(), SchemaFault> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(SchemaFault::TooLong)?;
        Ok(())
    }

    fn write_at(&mut self, schema: &'d Value, depth: usize) -> Result<Value, SchemaFault> {
        self.take(4)?;
        let Value::Object(fields) = schema else {
            // In OpenAPI 3.1, `true` and `false` are schemas.
            return Ok(match schema {
                Value::Bool(_) => schema.clone(),
                _ => json!({}),
            });
        };
        if let Some(reference) = reference(schema) {
            let target = self.references.target(reference);
            let target = target.map_err(SchemaFault::Reference)?;
            if self.open.contains(&reference) || self.open.len() >= self.max_refs {
                return self.any(reference);
            }
            self.open.push(reference);
            let written = self.write_at(target, depth + 1);
            self.open.pop();
            return written;
        }
        if depth >= MAX_DEPTH {
            return Ok(json!({}));
        }
        let mut written = Map::new();
        for (key, value) in fields {
            // A key that is left out costs time, so it takes a byte of the budget.
            self.take(1)?;
            if let Some(value) = self.keyword(key, value, fields, depth)? {
                self.take(key.len() + 4)?;
                written.insert(key.clone(), value);
            }
        }
        nullable(fields, &mut written);
        without_read_only(fields, &mut written);
        Ok(Value::Object(written))
    }

    /// Returns a schema for any value, in place of a `$ref` that is not written out.
    fn any(&mut self, reference: &str) -> Result<Value, SchemaFault> {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let name: String = name.chars().take(64).collect();
        Ok(match self.described(&name)? {
            Some(name) => json!({ "description": format!("a {name}, as in the API's document") }),
            None => json!({}),
        })
    }

    fn keyword(
        &mut self,
        key: &str,
        value: &'d Value,
        schema: &'d Map<String, Value>,
        depth: usize,
    ) -> Result<Option<Value>, SchemaFault> {
        if PLAIN.contains(&key) {
            // Text that is too long is refused before it is serialised.
            if least_bytes(value, self.bytes_left) > self.bytes_left {
                return Err(SchemaFault::TooLong);
            }
            self.take(value.to_string().len())?;
            return Ok(Some(value.clone()));
        }
        if SCHEMA.contains(&key) {
            return self.write_at(value, depth + 1).map(Some);
        }
        if LISTS.contains(&key) {
            let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let parts: Result<Vec<_>, _> = parts
                .iter()
                .map(|it| self.write_at(it, depth + 1))
                .collect();
            return Ok(Some(Value::Array(parts?)));
        }
        match (key, value) {
            ("properties" | "patternProperties", Value::Object(properties)) => {
                let mut written = Map::new();
                for (name, property) in properties {
                    self.take(1)?;
                    if is_read_only(property) {
                        continue;
                    }
                    self.take(name.len() + 4)?;
                    written.insert(name.clone(), self.write_at(property, depth + 1)?);
                }
                Ok(Some(Value::Object(written)))
            }
            ("description", Value::String(text)) => Ok(self.described(text)?.map(Value::from)),
            // OpenAPI 3.0 has a flag where JSON Schema has the bound itself.
            ("exclusiveMinimum", Value::Bool(true)) => Ok(schema.get("minimum").cloned()),
            ("exclusiveMaximum", Value::Bool(true)) => Ok(schema.get("maximum").cloned()),
            ("exclusiveMinimum" | "exclusiveMaximum", Value::Number(_)) => Ok(Some(value.clone())),
            _ => Ok(None),
        }
    }
}

/// Whether a property appears only in answers.
pub(crate) fn is_read_only(property: &Value) -> bool {
    property.get("readOnly") == Some(&Value::Bool(true))
}

/// Translates `nullable` of OpenAPI 3.0: JSON Schema lists the type `null` instead.
fn nullable(schema: &Map<String, Value>, written: &mut Map<String, Value>) {
    if schema.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    if let Some(Value::String(kind)) = written.get("type").cloned() {
        written.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(Value::Array(values)) = written.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// Removes properties that appear only in answers from `required`: a request cannot have them.
fn without_read_only(schema: &Map<String, Value>, written: &mut Map<String, Value>) {
    let Some(properties) = schema.get("properties") else {
        return;
    };
    if let Some(Value::Array(required)) = written.get_mut("required") {
        required.retain(|name| {
            let property = name.as_str().and_then(|name| properties.get(name));
            !property.is_some_and(is_read_only)
        });
    }
}

/// Counts the bytes of the texts and the values within. Stops once the count is beyond `enough`.
fn least_bytes(value: &Value, enough: usize) -> usize {
    let sum = |values: &mut dyn Iterator<Item = (usize, &Value)>| {
        let mut bytes = 0;
        for (key, value) in values {
            bytes += key + least_bytes(value, enough);
            if bytes > enough {
                break;
            }
        }
        bytes
    };
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => sum(&mut list.iter().map(|it| (1, it))),
        Value::Object(fields) => sum(&mut fields.iter().map(|(key, it)| (key.len(), it))),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(document: &Value, schema: &Value, max_refs: usize) -> Result<Value, SchemaFault> {
        let references = References::new(document, 16);
        Writer::new(references, max_refs, true, 10_000).write(schema)
    }

    #[test]
    fn references_are_written_out_and_keywords_of_openapi_are_not() {
        let document = json!({"s": {
            "Label": {"type": "object", "properties": {"name": {"type": "string"}}, "xml": {}},
        }});
        let schema = json!({
            "type": "object", "nullable": true, "example": {}, "x-internal": 1,
            "required": ["a", "id"],
            "properties": {
                "id": {"type": "integer", "readOnly": true},
                "a": {"type": "array", "items": {"$ref": "#/s/Label"}},
                "b": {"oneOf": [{"type": "string"}, {"$ref": "#/s/Label"}]},
                "c": {"minimum": 1, "exclusiveMinimum": true, "description": "C."},
                "d": {"enum": ["x"], "nullable": true},
                "e": true,
            },
        });
        let label = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        assert_eq!(
            written(&document, &schema, 16),
            Ok(json!({
                "type": ["object", "null"], "required": ["a"],
                "properties": {
                    "a": {"type": "array", "items": label},
                    "b": {"oneOf": [{"type": "string"}, label]},
                    "c": {"minimum": 1, "exclusiveMinimum": 1, "description": "C."},
                    "d": {"enum": ["x", null]},
                    "e": true,
                },
            }))
        );
    }

    #[test]
    fn what_is_recursive_ends() {
        let document = json!({"s": {
            "Node": {"properties": {"next": {"$ref": "#/s/Node"}, "other": {"$ref": "#/s/Other"}}},
            "Other": {"properties": {"node": {"$ref": "#/s/Node"}}},
            "Loop": {"$ref": "#/s/Loop"},
        }});
        let any = json!({"description": "a Node, as in the API's document"});
        assert_eq!(
            written(&document, &json!({"$ref": "#/s/Node"}), 16),
            Ok(json!({"properties": {
                "next": any, "other": {"properties": {"node": any}},
            }}))
        );
        let looped = written(&document, &json!({"$ref": "#/s/Loop"}), 16);
        assert_eq!(
            looped,
            Ok(json!({"description": "a Loop, as in the API's document"}))
        );
        let flat = written(&document, &json!({"$ref": "#/s/Node"}), 0);
        assert_eq!(flat, Ok(any));
    }

    #[test]
    fn a_schema_that_grows_without_end_is_cut_off_by_its_bytes() {
        let mut schemas = Map::new();
        for at in 0..30 {
            let next = json!({ "$ref": format!("#/s/{}", at + 1) });
            schemas.insert(
                at.to_string(),
                json!({"properties": {"a": next, "b": next, "c": next, "d": next}}),
            );
        }
        schemas.insert("30".to_owned(), json!({"type": "string"}));
        let document = json!({ "s": schemas });
        let grown = written(&document, &json!({"$ref": "#/s/0"}), 40);
        assert_eq!(grown, Err(SchemaFault::TooLong));
        assert!(written(&document, &json!({"$ref": "#/s/0"}), 2).is_ok());
    }

    #[test]
    fn what_is_not_in_the_document_is_a_fault() {
        let document = json!({});
        for reference in ["https://example.com/x.json", "#/nowhere"] {
            let schema = json!({"items": {"$ref": reference}});
            let fault = written(&document, &schema, 16).expect_err(reference);
            assert!(matches!(fault, SchemaFault::Reference(_)));
        }
    }
}
