//! The body of a request: JSON, a form, or plain text.

use serde_json::{Map, Value};
use trusted_tool::ToolError;

use crate::input::{invalid, scalar};
use crate::query::{METHOD_OVERRIDE, OVERRIDES_THE_METHOD, plain};

/// A body and its content type.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// The value of the header `Content-Type`.
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Body {
    /// Returns a JSON body.
    ///
    /// # Errors
    /// `invalid_input`: a field of the body would change the method.
    pub fn json(content_type: &str, value: &Value) -> Result<Self, ToolError> {
        let mut names = value.as_object().into_iter().flat_map(Map::keys);
        if names.any(|name| plain(name) == METHOD_OVERRIDE) {
            return Err(invalid(OVERRIDES_THE_METHOD));
        }
        Ok(Self {
            content_type: content_type.to_owned(),
            bytes: value.to_string().into_bytes(),
        })
    }

    /// Returns a body of plain text.
    pub fn text(content_type: &str, text: String) -> Self {
        Self {
            content_type: content_type.to_owned(),
            bytes: text.into_bytes(),
        }
    }

    /// Returns a form. Brackets name what stands inside objects and lists: `a[b]=1&c[0]=2`.
    ///
    /// # Errors
    /// `invalid_input`: the form is nested too deeply.
    pub fn form(fields: &Map<String, Value>) -> Result<Self, ToolError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            if plain(name) == METHOD_OVERRIDE {
                return Err(invalid(OVERRIDES_THE_METHOD));
            }
            append(&mut form, name, value, 0)?;
        }
        Ok(Self {
            content_type: "application/x-www-form-urlencoded".to_owned(),
            bytes: form.finish().into_bytes(),
        })
    }
}

/// Limits the nesting of a form.
const MAX_FORM_DEPTH: usize = 16;

fn append(
    form: &mut form_urlencoded::Serializer<'_, String>,
    name: &str,
    value: &Value,
    depth: usize,
) -> Result<(), ToolError> {
    if depth > MAX_FORM_DEPTH {
        return Err(invalid(format!(
            "the form is nested more than {MAX_FORM_DEPTH} deep"
        )));
    }
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                append(form, &format!("{name}[{field}]"), value, depth + 1)?;
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                append(form, &format!("{name}[{at}]"), value, depth + 1)?;
            }
        }
        value => {
            form.append_pair(name, &scalar(value).unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(value: Value) -> Result<String, ToolError> {
        let fields = value.as_object().cloned().expect("an object");
        let body = Body::form(&fields)?;
        Ok(String::from_utf8(body.bytes).expect("ASCII"))
    }

    #[test]
    fn no_field_changes_the_method_however_it_is_spelled() {
        for name in [
            "_method",
            "_METHOD",
            ".method",
            " _method",
            "[method",
            "_method[]",
        ] {
            let fields = json!({ name: "DELETE" });
            let refused = form(fields.clone()).expect_err(name);
            assert_eq!(refused.code, "invalid_input", "{name}");
            let refused = Body::json("application/json", &fields).expect_err(name);
            assert_eq!(refused.code, "invalid_input", "{name}");
        }
        Body::json(
            "application/json",
            &json!({"method": 1, "a": {"_method": 1}}),
        )
        .expect("plain");
    }

    #[test]
    fn a_form_has_brackets_for_what_is_nested() {
        let fields = json!({"amount": 5, "a b": "x&y=z", "metadata": {"id": "7"}, "items": [{"n": 1}, true]});
        assert_eq!(
            form(fields).expect("fits"),
            "amount=5&a+b=x%26y%3Dz&metadata%5Bid%5D=7&items%5B0%5D%5Bn%5D=1&items%5B1%5D=true"
        );
        let mut deep = json!(1);
        for _ in 0..20 {
            deep = json!({ "a": deep });
        }
        assert_eq!(form(deep).expect_err("too deep").code, "invalid_input");
    }
}
