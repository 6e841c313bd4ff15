//! One operation of a document as a row of the table: its name, the facts from which the component
//! makes a request, and the schema of its input.

use serde_json::{Value, json};

use crate::config::HttpConfig;
use crate::input_schema::Input;
use crate::reference::References;
use crate::request_body::RequestBody;
use crate::table::Operation;
use crate::{DocumentLimits, parameter};

/// Limits the description of an operation, in characters.
const MAX_DESCRIPTION_CHARS: usize = 600;

/// An operation as it stands in a document.
pub(crate) struct Found<'d> {
    pub name: String,
    pub method: &'static str,
    pub path: &'d str,
    pub of_path: &'d Value,
    pub operation: &'d Value,
}

impl<'d> Found<'d> {
    /// Compiles the operation.
    ///
    /// # Errors
    /// Returns the reason why the operation cannot be called.
    pub(crate) fn compile(
        &self,
        references: References<'d>,
        config: &HttpConfig,
        limits: &DocumentLimits,
    ) -> Result<Operation, String> {
        let parameters = parameter::all(self.of_path, self.operation, references, config)?;
        check_path(self.path)?;
        for name in names_in(self.path) {
            let is_described = parameters
                .iter()
                .any(|it| it.place == "path" && it.name == name);
            if !is_described {
                return Err(format!(
                    "its path has {{{}}}, which it does not describe",
                    name.chars().take(64).collect::<String>()
                ));
            }
        }
        let is_taken = |field: &str| parameters.iter().any(|it| it.field == field);
        let body = RequestBody::of(self.operation, references, is_taken)?;
        if body.is_some() && ["GET", "HEAD"].contains(&self.method) {
            return Err(format!("it is a {} request with a body", self.method));
        }
        let body_fields = body.as_ref().and_then(|body| body.fields.as_ref());
        let is_field = |field: &str| {
            let mut of_body = body_fields.into_iter().flatten();
            is_taken(field) || of_body.any(|it| it.name == field)
        };
        let free = |choices: [&'static str; 2]| {
            let free = choices.into_iter().find(|field| !is_field(field));
            free.ok_or_else(|| format!("its fields leave no name for {:?}", choices[0]))
        };
        let body_field = match &body {
            Some(RequestBody { fields: None, .. }) => free(["body", "request_body"])?,
            _ => "",
        };
        let meta_field = match is_field("meta") || body_field == "meta" {
            false => "meta",
            true => free(["response_meta", "with_response_meta"])?,
        };
        let input = Input {
            parameters: &parameters,
            body: body.as_ref(),
            body_field,
            meta_field,
        };
        let input_schema = input.schema(references, limits)?;
        let written: Vec<Value> = parameters.iter().map(|it| it.written()).collect();
        let request = json!({
            "method": self.method, "path": self.path, "parameters": written,
            "body": body.as_ref().map(|body| body.written(body_field)), "meta": meta_field,
        });
        Ok(Operation {
            name: self.name.clone(),
            description: self.description(),
            method: Some(self.method),
            path: Some(self.path.to_owned()),
            input_schema,
            request: request.to_string(),
        })
    }

    /// Returns one or two sentences about the operation, and its method and path.
    fn description(&self) -> String {
        let text = |key: &str| {
            let text = self.operation.get(key).and_then(Value::as_str)?;
            let paragraph = text.trim().split("\n\n").next().unwrap_or_default();
            let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            (!line.is_empty()).then_some(line)
        };
        let parts: Vec<String> = [text("summary"), text("description")]
            .into_iter()
            .flatten()
            .collect();
        let said = match parts.as_slice() {
            [summary, description] if !description.starts_with(summary.as_str()) => {
                format!("{}. {description}", summary.trim_end_matches('.'))
            }
            [.., last] => last.clone(),
            [] => String::new(),
        };
        let said: String = said.chars().take(MAX_DESCRIPTION_CHARS).collect();
        let request = format!("{} {}", self.method, self.path);
        match said.is_empty() {
            true => request,
            false => format!("{} ({request})", said.trim_end()),
        }
    }
}

/// Returns the names in braces.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// Checks that the component can fill a path.
fn check_path(path: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("its path {what}"));
    let Some(rest) = path.strip_prefix('/') else {
        return wrong("does not begin with /");
    };
    if path.contains(['?', '#', '\\', '%']) || path.chars().any(char::is_control) {
        return wrong("has a ?, #, backslash, percent sign or control character");
    }
    let balanced = path.split('{').skip(1).all(|rest| {
        let inside = rest.split_once('}');
        inside.is_some_and(|(name, after)| {
            !name.is_empty() && !name.contains('/') && !after.contains('}')
        })
    });
    if !balanced || path.split('{').next().is_some_and(|it| it.contains('}')) {
        return wrong("has a brace without its other");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let is_wrong = |segment: &str| matches!(segment, "" | "." | "..");
    match !rest.is_empty() && rest.split('/').any(is_wrong) {
        true => wrong("has a segment that is empty, . or .."),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_filled_is_told_why() {
        for path in ["/", "/a", "/a/", "/{a}/b", "/a/{b}.json", "/{a}-{b}"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for (path, why) in [
            ("a", "begin with /"),
            ("https://example.com/a", "begin with /"),
            ("/a?b=1", "has a ?"),
            ("/a#b", "has a ?"),
            ("/a\\b", "has a ?"),
            ("/%2e%2e", "has a ?"),
            ("/a\r\n", "has a ?"),
            ("/{a", "brace"),
            ("/a}", "brace"),
            ("/{}", "brace"),
            ("/{a/b}", "brace"),
            ("/{a}}", "brace"),
            ("/../a", "empty, . or .."),
            ("//a", "empty, . or .."),
            ("/a//b", "empty, . or .."),
        ] {
            let error = check_path(path).expect_err(path);
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}
