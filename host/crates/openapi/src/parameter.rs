//! The parameters of an operation: which ones an agent can set, and how each one is written.

use serde_json::{Value, json};
use tavora_trust::slot::Slot;

use crate::config::HttpConfig;
use crate::header::{declared, is_slot};
use crate::reference::References;

/// A parameter that an agent can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'d> {
    /// The name of the parameter's field in the input.
    pub field: String,
    /// The name of the parameter in the request.
    pub name: &'d str,
    /// The place of the parameter in the request: `path`, `query` or `header`.
    pub place: &'static str,
    pub is_required: bool,
    style: &'static str,
    pub schema: Option<&'d Value>,
    pub description: Option<&'d str>,
}

impl Parameter<'_> {
    /// Returns the parameter in the form that the component reads.
    pub(crate) fn written(&self) -> Value {
        json!({
            "field": self.field, "name": self.name, "in": self.place,
            "required": self.is_required, "style": self.style,
        })
    }
}

/// Limits the parameters of an operation. Each one is compared with those before it.
const MAX_PARAMETERS: usize = 256;

/// Returns the parameters of an operation and of its path.
///
/// # Errors
/// Returns the reason why the operation cannot be called.
pub(crate) fn all<'d>(
    of_path: &'d Value,
    of_operation: &'d Value,
    references: References<'d>,
    config: &HttpConfig,
) -> Result<Vec<Parameter<'d>>, String> {
    let mut found: Vec<(&str, &str, &Value)> = Vec::new();
    // A parameter of the operation takes the place of the path's parameter of the same name.
    for owner in [of_operation, of_path] {
        let listed = owner.get("parameters").and_then(Value::as_array);
        for written in listed.map(Vec::as_slice).unwrap_or_default() {
            let parameter = references.resolve(written);
            let parameter = parameter.map_err(|error| error.to_string())?;
            let text = |key: &str| parameter.get(key).and_then(Value::as_str);
            let (Some(name), Some(place)) = (text("name"), text("in")) else {
                return Err("it has a parameter without a name or a place".to_owned());
            };
            if !found.iter().any(|it| (it.0, it.1) == (name, place)) {
                found.push((name, place, parameter));
            }
            if found.len() > MAX_PARAMETERS {
                return Err(format!("it has more than {MAX_PARAMETERS} parameters"));
            }
        }
    }
    let mut parameters: Vec<Parameter<'d>> = Vec::new();
    for (name, place, parameter) in found {
        if let Some(mut parameter) = one(name, place, parameter, config)? {
            let is_taken = |field: &str| parameters.iter().any(|it| it.field == field);
            if is_taken(&parameter.field) {
                parameter.field = format!("{place}_{name}");
            }
            if is_taken(&parameter.field) {
                return Err(format!("it has two parameters {:?}", shown(name)));
            }
            parameters.push(parameter);
        }
    }
    Ok(parameters)
}

/// Returns one parameter, or `None` if the entry sets it or if it can be left out.
fn one<'d>(
    name: &'d str,
    place: &str,
    parameter: &'d Value,
    config: &HttpConfig,
) -> Result<Option<Parameter<'d>>, String> {
    let is_required = parameter.get("required") == Some(&Value::Bool(true));
    let left_out = |why: &str| match is_required {
        true => Err(format!("it needs the parameter {:?}, {why}", shown(name))),
        false => Ok(None),
    };
    let slot = config.credential.as_ref().map(|it| it.slot());
    let place = match place {
        "path" => "path",
        "query" if matches!(slot, Some(Slot::Query { name: own }) if own.eq_ignore_ascii_case(name)) =>
        {
            return Ok(None);
        }
        "query" => "query",
        "header" => {
            let lower = name.to_ascii_lowercase();
            // OpenAPI says that these three headers are not parameters.
            let is_none = ["accept", "content-type", "authorization"].contains(&lower.as_str());
            if is_none || is_slot(&lower, slot) || config.headers.as_map().contains_key(&lower) {
                return Ok(None);
            }
            if declared(name).is_err() {
                return left_out("a header that an agent may not set");
            }
            "header"
        }
        "cookie" => return left_out("which is a cookie"),
        _ => return left_out("whose place is not known"),
    };
    let is_text_of_another_form = parameter.get("content").is_some();
    if is_text_of_another_form {
        return left_out("which is written in a content type of its own");
    }
    let style = parameter.get("style").and_then(Value::as_str);
    let explode = parameter.get("explode").and_then(Value::as_bool);
    let style = match (place, style.unwrap_or_default(), explode) {
        ("query", "" | "form", Some(false)) => "comma",
        ("query", "" | "form", _) => "exploded",
        ("query", "spaceDelimited", _) => "space",
        ("query", "pipeDelimited", _) => "pipe",
        ("query", "deepObject", _) => "deep",
        ("path" | "header", "" | "simple", _) => "comma",
        _ => return left_out("whose style is not known"),
    };
    Ok(Some(Parameter {
        field: name.to_owned(),
        name,
        place,
        is_required: is_required || place == "path",
        style,
        schema: parameter.get("schema"),
        description: parameter.get("description").and_then(Value::as_str),
    }))
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(credential: &str) -> HttpConfig {
        toml::from_str(&format!(
            "base_url = \"https://api.example.com\"\nallow = [\"GET /**\"]\n{credential}\nheaders = {{ x-version = \"1\" }}"
        ))
        .expect("valid")
    }

    fn fields(parameters: Value, credential: &str) -> Result<Vec<String>, String> {
        let operation = json!({ "parameters": parameters });
        let nothing = json!({});
        let references = References::new(&nothing, 16);
        let all = all(&nothing, &operation, references, &config(credential))?;
        Ok(all
            .iter()
            .map(|it| format!("{} {} {}", it.field, it.place, it.style))
            .collect())
    }

    #[test]
    fn each_style_that_is_known_has_its_form() {
        let parameters = json!([
            {"name": "a", "in": "path"},
            {"name": "b", "in": "query"},
            {"name": "c", "in": "query", "explode": false},
            {"name": "d", "in": "query", "style": "deepObject"},
            {"name": "e", "in": "query", "style": "pipeDelimited"},
            {"name": "f", "in": "query", "style": "spaceDelimited"},
            {"name": "g", "in": "header"},
            {"name": "b", "in": "header"},
        ]);
        assert_eq!(
            fields(parameters, "").expect("known"),
            [
                "a path comma",
                "b query exploded",
                "c query comma",
                "d query deep",
                "e query pipe",
                "f query space",
                "g header comma",
                "header_b header comma",
            ]
        );
    }

    #[test]
    fn more_parameters_than_are_compared_leave_the_operation_out() {
        let named =
            |count: usize| (0..count).map(|n| json!({"name": n.to_string(), "in": "query"}));
        fields(named(256).collect(), "").expect("as many as there may be");
        let refusal = fields(named(257).collect(), "").expect_err("one more");
        assert_eq!(refusal, "it has more than 256 parameters");
    }

    #[test]
    fn what_an_agent_may_not_set_is_left_out_or_leaves_the_operation_out() {
        for (name, place, credential, why) in [
            ("s", "cookie", "", Some("which is a cookie")),
            (
                "Cookie",
                "header",
                "",
                Some("a header that an agent may not set"),
            ),
            (
                "Host",
                "header",
                "",
                Some("a header that an agent may not set"),
            ),
            ("X-Forwarded-For", "header", "", Some("may not set")),
            ("X-HTTP-Method-Override", "header", "", Some("may not set")),
            ("Authorization", "header", "", None),
            ("Accept", "header", "", None),
            ("X-Version", "header", "", None),
            (
                "X-Key",
                "header",
                "credential = { secret = \"k\", slot = { header = \"X-Key\" } }",
                None,
            ),
            (
                "KEY",
                "query",
                "credential = { secret = \"k\", slot = { query = \"key\" } }",
                None,
            ),
            ("a", "body", "", Some("whose place is not known")),
        ] {
            let parameter =
                |is_required: bool| json!([{"name": name, "in": place, "required": is_required}]);
            let optional = fields(parameter(false), credential);
            assert_eq!(optional.expect("left out").len(), 0, "{name}");
            let required = fields(parameter(true), credential);
            match why {
                None => assert_eq!(required.expect("set elsewhere").len(), 0, "{name}"),
                Some(why) => assert!(required.expect_err(name).contains(why), "{name}"),
            }
        }
        for (parameter, why) in [
            (json!({"name": "a"}), "without a name or a place"),
            (
                json!({"name": "a", "in": "path", "style": "matrix", "required": true}),
                "whose style is not known",
            ),
            (
                json!({"name": "a", "in": "query", "content": {}, "required": true}),
                "a content type of its own",
            ),
            (json!({"$ref": "other.json"}), "another document"),
        ] {
            let error = fields(json!([parameter]), "").expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
