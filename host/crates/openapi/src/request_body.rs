//! The body of an operation: its content type, and whether its fields stand among those of the
//! input.

use serde_json::{Map, Value, json};

use crate::reference::{References, reference};
use crate::schema::is_read_only;

/// The body that an operation takes.
#[derive(Debug)]
pub(crate) struct RequestBody<'d> {
    kind: &'static str,
    content_type: &'d str,
    pub is_required: bool,
    pub schema: Option<&'d Value>,
    /// The body's own fields, if they stand among the fields of the input.
    pub fields: Option<Vec<BodyField<'d>>>,
}

#[derive(Debug)]
pub(crate) struct BodyField<'d> {
    pub name: &'d str,
    pub schema: &'d Value,
    pub is_required: bool,
}

impl<'d> RequestBody<'d> {
    /// Returns the body of an operation, if it takes one. `is_taken` says whether a parameter has a
    /// field's name.
    ///
    /// # Errors
    /// Returns the reason why the operation cannot be called.
    pub(crate) fn of(
        operation: &'d Value,
        references: References<'d>,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<Option<Self>, String> {
        let Some(body) = operation.get("requestBody") else {
            return Ok(None);
        };
        let body = references
            .resolve(body)
            .map_err(|error| error.to_string())?;
        let is_required = body.get("required") == Some(&Value::Bool(true));
        let content = body.get("content").and_then(Value::as_object);
        let Some((kind, content_type, media)) = content.and_then(chosen) else {
            let types = content.into_iter().flat_map(Map::keys);
            let types: Vec<&str> = types.map(String::as_str).take(3).collect();
            return match is_required {
                true => Err(format!(
                    "its body is neither JSON nor a form nor text, but {:?}",
                    types.join(", ")
                )),
                false => Ok(None),
            };
        };
        let schema = media.get("schema");
        let fields = match (kind, schema) {
            ("json" | "form", Some(schema)) => fields_of(schema, references)?,
            _ => None,
        };
        let fields = fields.filter(|fields| {
            !fields.is_empty() && !fields.iter().any(|field| is_taken(field.name))
        });
        Ok(Some(Self {
            kind,
            content_type,
            is_required,
            schema,
            fields,
        }))
    }

    /// Returns the body in the form that the component reads. `field` names the input's field that
    /// holds the whole body; it is unused if the body's fields stand among those of the input.
    pub(crate) fn written(&self, field: &str) -> Value {
        let mut written = json!({
            "kind": self.kind, "content_type": self.content_type, "required": self.is_required,
        });
        match &self.fields {
            None => written["field"] = json!(field),
            Some(fields) => {
                let fields = fields
                    .iter()
                    .map(|it| json!({"name": it.name, "required": it.is_required}));
                written["fields"] = fields.collect();
            }
        }
        written
    }
}

/// Returns the content type to send: JSON before a form, and a form before text.
fn chosen(content: &Map<String, Value>) -> Option<(&'static str, &str, &Value)> {
    let kind_of = |content_type: &str| {
        let lower = content_type.to_ascii_lowercase();
        match lower.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some((0, "json")),
            "application/x-www-form-urlencoded" => Some((2, "form")),
            json if json.ends_with("+json") => Some((1, "json")),
            "text/plain" => Some((3, "text")),
            _ => None,
        }
    };
    // A content type becomes the value of a header, where no line end may stand.
    let plain = content
        .iter()
        .filter(|(content_type, _)| content_type.bytes().all(|it| (0x20..0x7f).contains(&it)));
    let known = plain.filter_map(|(content_type, media)| {
        let (order, kind) = kind_of(content_type)?;
        Some((order, kind, content_type.as_str(), media))
    });
    let (_, kind, content_type, media) = known.min_by_key(|(order, ..)| *order)?;
    Some((kind, content_type, media))
}

/// Returns the fields of an object, with those of its `allOf`. Returns `None` for a schema that is
/// no plain object.
fn fields_of<'d>(
    schema: &'d Value,
    references: References<'d>,
) -> Result<Option<Vec<BodyField<'d>>>, String> {
    let mut fields: Vec<BodyField<'d>> = Vec::new();
    let mut required: Vec<&str> = Vec::new();
    let mut parts = vec![(schema, 0)];
    while let Some((part, depth)) = parts.pop() {
        let part = references
            .resolve(part)
            .map_err(|error| error.to_string())?;
        let has = |key: &str| part.get(key).is_some();
        if depth > references.max_depth() || ["oneOf", "anyOf", "not"].into_iter().any(has) {
            return Ok(None);
        }
        if part.get("type").is_some_and(|kind| kind != "object") {
            return Ok(None);
        }
        let list = |key: &str| {
            part.get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        required.extend(list("required").filter_map(Value::as_str));
        parts.extend(list("allOf").map(|part| (part, depth + 1)));
        let properties = part.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            // A property behind a `$ref` counts as one of requests: the `$ref` is not followed
            // here.
            let is_for_answers = reference(schema).is_none() && is_read_only(schema);
            if !is_for_answers && !fields.iter().any(|field| field.name == name) {
                fields.push(BodyField {
                    name,
                    schema,
                    is_required: false,
                });
            }
        }
    }
    for field in &mut fields {
        field.is_required = required.contains(&field.name);
    }
    Ok(Some(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: Value, taken: &str) -> Result<Value, String> {
        let operation = json!({"requestBody": {"required": true, "content": content}});
        let document = json!({"s": {"Base": {
            "required": ["id", "title"],
            "properties": {"id": {"readOnly": true}, "title": {"type": "string"}},
        }}});
        let body = RequestBody::of(&operation, References::new(&document, 16), |it| it == taken)?;
        Ok(body.map_or(Value::Null, |body| body.written("body")))
    }

    #[test]
    fn the_fields_of_an_object_stand_among_those_of_the_input() {
        let schema = json!({"allOf": [
            {"$ref": "#/s/Base"}, {"type": "object", "properties": {"labels": {}}},
        ]});
        let json = json!({"text/plain": {}, "application/json": {"schema": schema}});
        let written = body(json.clone(), "").expect("a body");
        assert_eq!(
            written,
            json!({
                "kind": "json", "content_type": "application/json", "required": true,
                "fields": [
                    {"name": "labels", "required": false}, {"name": "title", "required": true},
                ],
            })
        );
        // A parameter has the name of a field of the body.
        assert_eq!(body(json, "labels").expect("a body")["field"], "body");
    }

    #[test]
    fn another_body_is_one_field() {
        for (content_type, schema, kind) in [
            ("application/json", json!({"type": "array"}), "json"),
            ("application/json", json!({"oneOf": []}), "json"),
            ("application/json", json!({"type": "object"}), "json"),
            ("application/merge-patch+json", json!(true), "json"),
            ("application/x-www-form-urlencoded", json!({}), "form"),
            (
                "text/plain; charset=utf-8",
                json!({"type": "string"}),
                "text",
            ),
        ] {
            let content = json!({ content_type: { "schema": schema } });
            let written = body(content, "").expect("a body");
            assert_eq!(written["kind"], kind);
            assert_eq!(written["field"], "body", "{content_type}");
        }
        for content in [
            json!({"multipart/form-data": {}}),
            json!({"application/json\r\nHost: b": {}}),
            json!({}),
        ] {
            let error = body(content, "").expect_err("no form");
            assert!(
                error.contains("neither JSON nor a form nor text"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_body_in_another_document_leaves_the_operation_out() {
        let content = json!({"application/json": {"schema": {"$ref": "https://example.com/x"}}});
        let error = body(content, "").expect_err("remote");
        assert!(error.contains("another document"), "{error}");
        // A schema that refers to itself is no plain object.
        let content = json!({"application/json": {"schema": {"$ref": "#/requestBody"}}});
        assert!(body(content, "").is_err());
    }
}
