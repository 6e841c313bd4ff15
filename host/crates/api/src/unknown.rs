//! Refuses unknown names in a request. A misspelled field must never be taken for an absent one,
//! which may allow more than the intended field.
//!
//! The types define the known names: serde's `deny_unknown_fields` for bodies, and the OpenAPI
//! document for queries.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use url::form_urlencoded;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;
use tavora_trust::nearest::nearest;

/// The most characters of an unknown name that are repeated.
const MAX_SHOWN_CHARS: usize = 64;

/// The place of the unknown name.
#[derive(Clone, Copy)]
pub enum Place {
    Body,
    Query,
}

/// Returns a 400 for an unknown name. `field` is the name with its path in a nested body.
pub fn unknown(place: Place, field: &str, name: &str, known: &[&str]) -> ApiError {
    let (what, thing) = match place {
        Place::Body => ("the body", "field"),
        Place::Query => ("this path", "query parameter"),
    };
    let (field, name) = (shown(field), shown(name));
    let meant = nearest(&name, known.iter().copied());
    let hint = match (meant, known) {
        (Some(meant), _) => format!("did you mean {meant}?"),
        (None, []) => "leave it out".to_owned(),
        (None, known) => format!("known here: {}", known.join(", ")),
    };
    let message = format!("{what} takes no {thing} {field}; {hint}");
    let error = ApiError::bad_request("unknown_field", message).detail("field", field);
    match meant {
        Some(meant) => error.detail("did_you_mean", meant),
        None => error,
    }
}

/// Extracts the unknown name and the known ones from serde's message, if it is one about an unknown
/// name.
pub fn parse(said: &str) -> Option<(&str, Vec<&str>)> {
    let rest = said.strip_prefix("unknown field `")?;
    // The unknown name may hold any text, so the message is split from its end, where the known
    // ones are.
    if let Some(name) = rest.strip_suffix("`, there are no fields") {
        return Some((name, Vec::new()));
    }
    let (name, expected) = rest.rsplit_once("`, expected ")?;
    let known = expected.split('`').skip(1).step_by(2).collect();
    Some((name, known))
}

/// Makes a client's text fit for a sentence.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(MAX_SHOWN_CHARS).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
        .chars()
        .flat_map(|it| match it.is_control() {
            true => it.escape_default().collect::<Vec<_>>(),
            false => vec![it],
        })
        .collect()
}

/// The query parameters of every operation below `/api/`, by path and method.
#[derive(Clone, Default)]
pub struct Parameters(Arc<HashMap<(String, Method), Vec<String>>>);

impl Parameters {
    /// Reads the parameters from the document.
    pub fn of(document: &OpenApi) -> Self {
        let mut known = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                if let Some(operation) = operation {
                    known.insert((path.clone(), method), query_parameters(operation));
                }
            }
        }
        Self(Arc::new(known))
    }

    /// Refuses a query with an unknown or a repeated parameter. Below `/v1` any parameter is
    /// accepted and ignored, because OpenAI's clients send some of their own.
    pub fn check(&self, parts: &Parts) -> Result<(), ApiError> {
        let (Some(query), Some(path)) = (parts.uri.query(), parts.extensions.get::<MatchedPath>())
        else {
            return Ok(());
        };
        if !path.as_str().starts_with("/api/") {
            return Ok(());
        }
        let method = match parts.method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let known = self.0.get(&(path.as_str().to_owned(), method));
        let known: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
        let mut given: Vec<&str> = Vec::new();
        for (name, _) in form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(unknown(Place::Query, &name, &name, &known));
            };
            if given.contains(name) {
                let message = format!("the query parameter {name} is given twice; give it once");
                return Err(ApiError::bad_request("invalid_query", message).detail("field", *name));
            }
            given.push(name);
        }
        Ok(())
    }
}

fn query_parameters(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
        .map(|parameter| parameter.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_serde_are_understood_whatever_the_name_is() {
        for (said, expected) in [
            ("unknown field `a`, expected `b`", Some(("a", vec!["b"]))),
            (
                "unknown field `a`, expected one of `b`, `c`",
                Some(("a", vec!["b", "c"])),
            ),
            (
                "unknown field `a`, expected `b` or `c`",
                Some(("a", vec!["b", "c"])),
            ),
            (
                "unknown field `a`, there are no fields",
                Some(("a", vec![])),
            ),
            (
                "unknown field `a`, expected `evil`, expected `b`",
                Some(("a`, expected `evil", vec!["b"])),
            ),
            ("missing field `a`", None),
        ] {
            assert_eq!(parse(said), expected, "{said}");
        }
    }

    #[test]
    fn a_name_without_end_is_cut_and_what_a_terminal_would_obey_is_escaped() {
        let error = unknown(Place::Body, "\u{1b}[8m", "\u{1b}[8m", &["code"]);
        assert_eq!(
            error.message(),
            "the body takes no field \\u{1b}[8m; known here: code"
        );
        let long = "é".repeat(10_000);
        let error = unknown(Place::Query, &long, &long, &[]);
        assert!(error.message().chars().count() < 120, "{}", error.message());
    }
}
