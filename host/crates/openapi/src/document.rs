//! An OpenAPI document as JSON values. Its version is known, and it is within the limits of one
//! document.

use serde_json::Value;

use crate::budget::DocumentError;
use crate::{DocumentLimits, json, yaml};

/// Limits the document's own words that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// Reads a document and checks its version.
pub(crate) fn read(bytes: &[u8], limits: &DocumentLimits) -> Result<Value, DocumentError> {
    if bytes.len() > limits.max_document_bytes {
        return Err(DocumentError::TooLong(limits.max_document_bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| DocumentError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = match text.trim_start().starts_with(['{', '[']) {
        true => json::read(text, limits)?,
        false => yaml::read(text, limits)?,
    };
    check_version(&document)?;
    Ok(document)
}

fn check_version(document: &Value) -> Result<(), DocumentError> {
    let Some(fields) = document.as_object() else {
        return Err(DocumentError::NotOpenApi);
    };
    if fields.contains_key("swagger") {
        return Err(DocumentError::Swagger);
    }
    // YAML reads an unquoted 3.1 as a number.
    let version = match fields.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        Some(Value::Number(version)) => version.to_string(),
        _ => return Err(DocumentError::NotOpenApi),
    };
    let is_known = ["3.0", "3.1"].iter().any(|known| {
        let rest = version.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    if !is_known {
        let shown = version.chars().take(MAX_SHOWN_CHARS).collect();
        return Err(DocumentError::Version(shown));
    }
    match fields.get("paths") {
        Some(Value::Object(_)) => Ok(()),
        _ => Err(DocumentError::NoPaths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> DocumentLimits {
        DocumentLimits {
            max_document_bytes: 4_000,
            max_nodes: 100,
            max_depth: 10,
            ..DocumentLimits::default()
        }
    }

    fn refused(text: &str) -> String {
        let read = read(text.as_bytes(), &small());
        read.expect_err(text).to_string()
    }

    #[test]
    fn a_document_is_read_in_either_form() {
        for text in [
            r#"{"openapi":"3.0.3","paths":{}}"#,
            "\u{feff} {\"openapi\":\"3.1.0\",\"paths\":{}}",
            "openapi: 3.1.0\npaths: {}\n",
            "openapi: 3.1\npaths: {}\n",
            "---\n# a comment\n\"openapi\": \"3.0.0\"\npaths: {}\n",
        ] {
            let document = read(text.as_bytes(), &small()).expect(text);
            assert!(document["paths"].is_object(), "{text}");
        }
    }

    #[test]
    fn what_is_no_openapi_3_is_told_by_what_it_is() {
        for (text, message) in [
            ("", "it has no key \"openapi\""),
            ("hello", "it has no key \"openapi\""),
            ("[]", "it has no key \"openapi\""),
            ("{}", "it has no key \"openapi\""),
            (
                r#"{"openapi":null,"paths":{}}"#,
                "it has no key \"openapi\"",
            ),
            (r#"{"swagger":"2.0","paths":{}}"#, "Swagger 2.0"),
            ("swagger: '2.0'\npaths: {}", "Swagger 2.0"),
            (r#"{"openapi":"4.0.0","paths":{}}"#, "is OpenAPI 4.0.0"),
            (r#"{"openapi":"3.10","paths":{}}"#, "is OpenAPI 3.10"),
            (r#"{"openapi":"3.0.0"}"#, "has no \"paths\""),
            ("{", "neither JSON nor YAML: EOF"),
            (
                r#"{"openapi":"3.0.0","paths":{}} x"#,
                "neither JSON nor YAML: trailing",
            ),
            ("openapi: [\n", "neither JSON nor YAML"),
            ("a: b: c\n", "neither JSON nor YAML"),
        ] {
            let refusal = refused(text);
            assert!(refusal.contains(message), "{text}: {refusal}");
        }
        let refusal = read(b"\xff", &small()).expect_err("no text").to_string();
        assert!(refusal.contains("is not UTF-8"), "{refusal}");
    }

    #[test]
    fn each_limit_of_a_document_is_told_by_its_name() {
        let long = format!("# {}", "x".repeat(4_000));
        assert!(refused(&long).contains("limits.openapi.max_document_bytes (4000)"));
        for many in [
            format!("[{}0]", "0,".repeat(100)),
            format!("a: [{}0]", "0,".repeat(100)),
        ] {
            assert!(refused(&many).contains("limits.openapi.max_nodes (100)"));
        }
        for deep in [
            format!("{}{}", "[".repeat(20), "]".repeat(20)),
            format!("a: {}{}", "[".repeat(20), "]".repeat(20)),
        ] {
            assert!(refused(&deep).contains("limits.openapi.max_depth (10)"));
        }
        let deepest = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let limits = DocumentLimits {
            max_depth: usize::MAX,
            ..DocumentLimits::default()
        };
        let refusal = read(deepest.as_bytes(), &limits).expect_err("too deep");
        assert_eq!(refusal, DocumentError::TooDeep(127));
    }

    #[test]
    fn a_document_of_50_mb_is_refused_by_its_size() {
        let document = vec![b' '; 50 * 1024 * 1024];
        let refusal = read(&document, &DocumentLimits::default()).expect_err("too long");
        assert_eq!(refusal, DocumentError::TooLong(16 * 1024 * 1024));
    }
}
