//! Writes the JSON Schema of an operation's input in the longest form that fits.

use serde_json::{Map, Value, json};

use crate::DocumentLimits;
use crate::parameter::Parameter;
use crate::reference::References;
use crate::request_body::RequestBody;
use crate::schema::{SchemaFault, Writer};

/// The `$ref`s that each form writes out within one another. The longest form comes first.
const FORMS: [usize; 5] = [usize::MAX, 8, 3, 1, 0];

/// The parts of an operation's input.
pub(crate) struct Input<'a, 'd> {
    pub parameters: &'a [Parameter<'d>],
    pub body: Option<&'a RequestBody<'d>>,
    /// The name of the field that holds the whole body. It is empty if no field does.
    pub body_field: &'a str,
    pub meta_field: &'a str,
}

impl<'d> Input<'_, 'd> {
    /// Returns the schema without `$ref`s.
    ///
    /// # Errors
    /// Fails if a `$ref` leads nowhere, or if no form of the schema is short enough.
    pub(crate) fn schema(
        &self,
        references: References<'d>,
        limits: &DocumentLimits,
    ) -> Result<String, String> {
        let max_bytes = limits.max_schema_bytes;
        let deepest = FORMS.map(|refs| (refs.min(references.max_depth()), true));
        let forms = deepest.into_iter().chain([(0, false)]);
        for (max_refs, with_descriptions) in forms {
            let mut writer = Writer::new(references, max_refs, with_descriptions, max_bytes);
            match self.written(&mut writer) {
                Ok(schema) => {
                    let text = schema.to_string();
                    if text.len() <= max_bytes {
                        return Ok(text);
                    }
                }
                Err(SchemaFault::TooLong) => {}
                Err(SchemaFault::Reference(error)) => return Err(error.to_string()),
            }
        }
        Err(format!(
            "its input schema has more bytes than limits.openapi.max_schema_bytes ({max_bytes}) allows"
        ))
    }

    fn written(&self, writer: &mut Writer<'d>) -> Result<Value, SchemaFault> {
        let mut properties = Map::new();
        let mut required: Vec<&str> = Vec::new();
        for parameter in self.parameters {
            let mut schema = match parameter.schema {
                Some(schema) => writer.write(schema)?,
                None => json!({}),
            };
            if let (Some(text), Value::Object(schema)) = (parameter.description, &mut schema)
                && let Some(text) = writer.described(text)?
            {
                schema.insert("description".to_owned(), text.into());
            }
            if parameter.is_required {
                required.push(&parameter.field);
            }
            properties.insert(parameter.field.clone(), schema);
        }
        match self.body {
            None => {}
            Some(RequestBody {
                fields: Some(fields),
                is_required,
                ..
            }) => {
                for field in fields {
                    properties.insert(field.name.to_owned(), writer.write(field.schema)?);
                    if *is_required && field.is_required {
                        required.push(field.name);
                    }
                }
            }
            Some(body) => {
                let schema = match body.schema {
                    Some(schema) => writer.write(schema)?,
                    None => json!({}),
                };
                properties.insert(self.body_field.to_owned(), schema);
                if body.is_required {
                    required.push(self.body_field);
                }
            }
        }
        properties.insert(
            self.meta_field.to_owned(),
            json!({
                "type": "boolean",
                "description": "Gives {status, body, meta} with links to other pages and rate limits.",
            }),
        );
        Ok(json!({
            "type": "object", "properties": properties, "required": required,
            "additionalProperties": false,
        }))
    }
}
