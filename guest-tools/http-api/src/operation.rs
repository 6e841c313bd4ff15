//! The operations in the settings, which the host compiled from the API's document. An operation
//! turns the fields of an input into a request.

use serde::Deserialize;
use serde_json::{Map, Value};
use trusted_tool::{ToolError, setting};

use crate::body::Body;
use crate::entry::Entry;
use crate::header;
use crate::input::{Fields, invalid, scalar};
use crate::path::Path;
use crate::plan::Plan;
use crate::query::{Query, Style};

/// The setting that lists the names of all operations.
const NAMES: &str = "operations";

/// An operation that an agent can call.
pub enum Operation {
    /// Any request that `allow` admits.
    Plain,
    /// An operation of the API's document.
    OfDocument(Declared),
}

/// An operation of a document.
#[derive(Debug, Deserialize)]
pub struct Declared {
    method: String,
    /// The path, with the names of parameters in braces.
    path: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
    body: Option<BodyShape>,
    /// The name of the field that asks for links and rate limits.
    meta: String,
}

/// A parameter of the path, the query or the headers.
#[derive(Debug, Deserialize)]
struct Parameter {
    /// The name of the parameter's field in the input.
    field: String,
    /// The name of the parameter in the request.
    name: String,
    #[serde(rename = "in")]
    place: Place,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    style: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Path,
    Query,
    Header,
}

/// The form of a value with several parts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    #[default]
    Exploded,
    Comma,
    Space,
    Pipe,
    Deep,
}

impl Written {
    fn style(self) -> Style {
        match self {
            Self::Exploded => Style::FormExploded,
            Self::Comma => Style::Joined(","),
            Self::Space => Style::Joined(" "),
            Self::Pipe => Style::Joined("|"),
            Self::Deep => Style::DeepObject,
        }
    }
}

/// The body of an operation.
#[derive(Debug, Deserialize)]
struct BodyShape {
    kind: BodyKind,
    content_type: String,
    #[serde(default)]
    required: bool,
    /// The field that holds the whole body. Without it, `fields` are the body's own fields.
    field: Option<String>,
    #[serde(default)]
    fields: Vec<BodyField>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BodyKind {
    Json,
    Form,
    Text,
}

#[derive(Debug, Deserialize)]
struct BodyField {
    name: String,
    #[serde(default)]
    required: bool,
}

/// Returns the names of all operations, in the order of the document.
pub fn names() -> Result<Vec<String>, ToolError> {
    let names = setting::text(NAMES)?.unwrap_or_else(|| "[]".to_owned());
    serde_json::from_str(&names).map_err(|_| setting::invalid(NAMES, "a JSON list of names"))
}

/// Returns the description of an operation and the JSON Schema of its input.
pub fn described(name: &str) -> Result<(String, String), ToolError> {
    let of = |what: &str| {
        let key = format!("{what}:{name}");
        setting::text(&key)?.ok_or_else(|| setting::invalid(&key, "set"))
    };
    Ok((of("description")?, of("schema")?))
}

/// Returns the operation of this name.
pub fn find(name: &str) -> Result<Option<Operation>, ToolError> {
    let key = format!("operation:{name}");
    let Some(text) = setting::text(&key)? else {
        return Ok(None);
    };
    if text == "request" {
        return Ok(Some(Operation::Plain));
    }
    let declared = serde_json::from_str(&text);
    let declared = declared.map_err(|_| setting::invalid(&key, "an operation"))?;
    Ok(Some(Operation::OfDocument(declared)))
}

impl Declared {
    /// Makes a request from the fields that an agent gives.
    ///
    /// # Errors
    /// `invalid_input` naming the field.
    pub fn plan(&self, name: &str, entry: &Entry, input: &str) -> Result<Plan, ToolError> {
        let mut fields = Fields::parse(name, input)?;
        let mut in_path = Vec::new();
        let mut query = Query::new(entry.query_slot());
        let mut headers = Vec::new();
        for parameter in &self.parameters {
            let value = match parameter.required {
                true => fields.required(&parameter.field)?,
                false => match fields.take(&parameter.field) {
                    Some(value) => value,
                    None => continue,
                },
            };
            match parameter.place {
                Place::Query => query.add(&parameter.name, &value, parameter.style.style())?,
                Place::Path => in_path.push((parameter, parameter.joined(&fields, &value)?)),
                Place::Header => {
                    let value = parameter.joined(&fields, &value)?;
                    let value = header::checked(&parameter.name, value)?;
                    headers.push((parameter.name.clone(), value));
                }
            }
        }
        for (parameter, value) in &in_path {
            // Check each value alone first, so that a fault is reported under the name of its
            // field.
            Path::fill("/{}", |_| value.clone()).map_err(|fault| {
                let fault = match value.is_empty() {
                    true => "is empty",
                    false => &fault,
                };
                invalid(format!("the field {:?} of {name} {fault}", parameter.field))
            })?;
        }
        let value_of = |name: &str| {
            let found = in_path.iter().find(|(parameter, _)| parameter.name == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let path = Path::fill(&self.path, value_of)
            .map_err(|fault| invalid(format!("the path of {name} {fault}")))?;
        let body = match &self.body {
            None => None,
            Some(shape) => shape.body(name, &mut fields)?,
        };
        let wants_meta = fields.flag(&self.meta)?;
        fields.end()?;
        Ok(Plan {
            method: self.method.clone(),
            path,
            query,
            headers,
            body,
            wants_meta,
        })
    }
}

impl Parameter {
    /// Returns a value as one text. The parts of a list have commas between them.
    fn joined(&self, fields: &Fields, value: &Value) -> Result<String, ToolError> {
        let parts = match value {
            Value::Array(list) => list.iter().map(scalar).collect(),
            value => scalar(value).map(|text| vec![text]),
        };
        let parts: Option<Vec<String>> = parts;
        parts.map(|parts| parts.join(",")).ok_or_else(|| {
            fields.misfit(
                &self.field,
                "a text, a number or a boolean, nor a list of them",
            )
        })
    }
}

impl BodyShape {
    fn body(&self, operation: &str, fields: &mut Fields) -> Result<Option<Body>, ToolError> {
        let value = match &self.field {
            Some(field) if self.required => Some(fields.required(field).map_err(|_| {
                invalid(format!(
                    "{operation} needs a body: the field {field:?} is missing"
                ))
            })?),
            Some(field) => fields.take(field),
            None => self.collected(operation, fields)?,
        };
        let Some(value) = value else {
            return Ok(None);
        };
        let content_type = &self.content_type;
        match (self.kind, value) {
            (BodyKind::Json, value) => Ok(Some(Body::json(content_type, &value)?)),
            (BodyKind::Form, Value::Object(form)) => Ok(Some(Body::form(&form)?)),
            (BodyKind::Text, Value::String(text)) => Ok(Some(Body::text(content_type, text))),
            (kind, _) => Err(fields.misfit(
                self.field.as_deref().unwrap_or("body"),
                match kind {
                    BodyKind::Text => "a text",
                    BodyKind::Form | BodyKind::Json => "an object",
                },
            )),
        }
    }

    /// Collects the body from those fields of the input that are its own.
    fn collected(&self, operation: &str, fields: &mut Fields) -> Result<Option<Value>, ToolError> {
        let mut body = Map::new();
        let mut missing = None;
        for field in &self.fields {
            match fields.take(&field.name) {
                Some(value) => {
                    body.insert(field.name.clone(), value);
                }
                None if field.required => missing = missing.or(Some(&field.name)),
                None => {}
            }
        }
        match missing {
            Some(name) if self.required || !body.is_empty() => {
                Err(invalid(match body.is_empty() {
                    true => format!("{operation} needs a body: the field {name:?} is missing"),
                    false => format!("the field {name:?} of {operation} is missing"),
                }))
            }
            _ if body.is_empty() && self.required => {
                let names: Vec<&str> = self.fields.iter().map(|it| it.name.as_str()).collect();
                Err(invalid(format!(
                    "{operation} needs a body: give one of {}",
                    names.join(", ")
                )))
            }
            _ if body.is_empty() => Ok(None),
            _ => Ok(Some(Value::Object(body))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::entry;
    use serde_json::json;

    fn declared(value: Value) -> Declared {
        serde_json::from_value(value).expect("an operation")
    }

    fn issues_create() -> Declared {
        declared(json!({
            "method": "POST", "path": "/repos/{owner}/{repo}/issues", "meta": "meta",
            "parameters": [
                {"field": "owner", "name": "owner", "in": "path", "required": true},
                {"field": "repo", "name": "repo", "in": "path", "required": true},
                {"field": "labels", "name": "labels", "in": "query", "style": "comma"},
                {"field": "if_match", "name": "If-Match", "in": "header"},
            ],
            "body": {
                "kind": "json", "content_type": "application/json", "required": true,
                "fields": [{"name": "title", "required": true}, {"name": "body"}],
            },
        }))
    }

    fn planned(declared: &Declared, input: Value) -> Result<Plan, String> {
        let plan = declared.plan("issues_create", &entry(), &input.to_string());
        plan.map_err(|error| {
            assert_eq!(error.code, "invalid_input");
            error.message
        })
    }

    #[test]
    fn the_fields_of_an_operation_become_a_request() {
        let input = json!({
            "owner": "a b", "repo": 7, "labels": ["x", "y"], "if_match": "v1", "title": "T",
        });
        let plan = planned(&issues_create(), input).expect("fits");
        assert_eq!(plan.method, "POST");
        assert_eq!(plan.path.written(), "/repos/a%20b/7/issues");
        assert_eq!(plan.query.written(), "labels=x%2Cy");
        assert_eq!(plan.headers, [("If-Match".to_owned(), "v1".to_owned())]);
        let body = plan.body.expect("a body");
        assert_eq!(body.bytes, br#"{"title":"T"}"#);
        assert_eq!(body.content_type, "application/json");
    }

    #[test]
    fn what_does_not_fit_an_operation_is_refused_by_its_name() {
        let with = |more: Value| {
            let mut input = json!({"owner": "o", "repo": "r", "title": "T"});
            let fields = input.as_object_mut().expect("an object");
            fields.extend(more.as_object().cloned().expect("an object"));
            input
        };
        for (input, message) in [
            (
                json!({"repo": "r", "title": "T"}),
                "the field \"owner\" of issues_create is missing",
            ),
            (
                json!({"owner": "o", "repo": "r"}),
                "issues_create needs a body: the field \"title\" is missing",
            ),
            (
                json!({"owner": "o", "repo": "r", "body": "x"}),
                "the field \"title\" of issues_create is missing",
            ),
            (
                with(json!({"owner": "../admin"})),
                "the field \"owner\" of issues_create has a slash or a backslash",
            ),
            (
                with(json!({"owner": ".."})),
                "the field \"owner\" of issues_create has a segment \"..\"",
            ),
            (
                with(json!({"owner": ""})),
                "the field \"owner\" of issues_create is empty",
            ),
            (
                with(json!({"owner": {}})),
                "the field \"owner\" of issues_create is not a text, a number or a boolean",
            ),
            (with(json!({"onwer": "x"})), "did you mean \"owner\"?"),
            (
                with(json!({"if_match": "a\r\nHost: b"})),
                "the header \"If-Match\" holds a line end",
            ),
            (
                with(json!({"labels": {"a": []}})),
                "the parameter \"a\" of the query is no text",
            ),
        ] {
            let error = planned(&issues_create(), input).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_body_is_one_field_where_it_is_no_plain_object() {
        let whole = |kind: &str, required: bool| {
            declared(json!({
                "method": "PUT", "path": "/x", "meta": "meta",
                "body": {
                    "kind": kind, "content_type": "text/plain", "required": required,
                    "field": "body",
                },
            }))
        };
        let error = planned(&whole("json", true), json!({})).expect_err("needed");
        assert!(
            error.contains("needs a body: the field \"body\" is missing"),
            "{error}"
        );
        let plan = planned(&whole("json", false), json!({})).expect("fits");
        assert_eq!(plan.body, None);
        for (kind, value, bytes) in [
            ("json", json!([1]), "[1]"),
            ("text", json!("a"), "a"),
            ("form", json!({"a": 1}), "a=1"),
        ] {
            let plan = planned(&whole(kind, true), json!({ "body": value })).expect(kind);
            assert_eq!(plan.body.expect("a body").bytes, bytes.as_bytes());
        }
        for (kind, value) in [("text", json!(7)), ("form", json!("a"))] {
            planned(&whole(kind, true), json!({ "body": value })).expect_err(kind);
        }
    }
}
