//! Follows `$ref`s within one document. Nothing is fetched: a `$ref` to another document is an
//! error of the schema or the operation that contains it.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Limits the part of a `$ref` that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 128;

/// Follows the `$ref`s of one document.
#[derive(Clone, Copy)]
pub(crate) struct References<'d> {
    root: &'d Value,
    /// Limits how many `$ref`s are followed from one to the next.
    max_depth: usize,
}

/// The reason why a `$ref` leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceError {
    #[error("it refers to another document, {0:?}, and none is fetched")]
    Remote(String),
    #[error("it refers to {0:?}, which is not in the document")]
    Missing(String),
    #[error(
        "it refers to {0:?} through more references than limits.openapi.max_ref_depth ({1}) allows"
    )]
    TooDeep(String, usize),
}

impl<'d> References<'d> {
    pub(crate) fn new(root: &'d Value, max_depth: usize) -> Self {
        Self { root, max_depth }
    }

    pub(crate) fn max_depth(&self) -> usize {
        self.max_depth
    }

    /// Returns the value itself or, for a `$ref`, the value that it refers to in the end.
    pub(crate) fn resolve(&self, value: &'d Value) -> Result<&'d Value, ReferenceError> {
        let mut found = value;
        for _ in 0..=self.max_depth {
            match reference(found) {
                None => return Ok(found),
                Some(reference) => found = self.target(reference)?,
            }
        }
        let shown = shown(reference(value).unwrap_or_default());
        Err(ReferenceError::TooDeep(shown, self.max_depth))
    }

    /// Returns the value that one `$ref` leads to. This value may be another `$ref`.
    pub(crate) fn target(&self, reference: &str) -> Result<&'d Value, ReferenceError> {
        let Some(fragment) = reference.strip_prefix('#') else {
            return Err(ReferenceError::Remote(shown(reference)));
        };
        let missing = || ReferenceError::Missing(shown(reference));
        let pointer = percent_decode_str(fragment).decode_utf8();
        let pointer = pointer.map_err(|_| missing())?;
        self.root
            .pointer(&pointer)
            .filter(|_| pointer.starts_with('/'))
            .ok_or_else(missing)
    }
}

/// Returns the `$ref` of a value, if the value is one.
pub(crate) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()
}

fn shown(reference: &str) -> String {
    reference.chars().take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reference_is_followed_within_the_document_alone() {
        let document = json!({
            "a/b": {"x": {"$ref": "#/c"}}, "c": {"$ref": "#/d"}, "d": 7, "é": 8,
            "loop": {"$ref": "#/loop"},
        });
        let references = References::new(&document, 4);
        let resolved = |reference: &str| {
            let value = json!({ "$ref": reference });
            let value: &'static Value = Box::leak(Box::new(value));
            let document: &'static Value = Box::leak(Box::new(document.clone()));
            References::new(document, 4).resolve(value).cloned()
        };
        assert_eq!(resolved("#/d"), Ok(json!(7)));
        assert_eq!(resolved("#/a~1b/x"), Ok(json!(7)));
        assert_eq!(resolved("#/%C3%A9"), Ok(json!(8)));
        for (reference, message) in [
            ("other.json#/d", "another document, \"other.json#/d\""),
            ("https://example.com/x.yaml", "another document"),
            ("#/nowhere", "is not in the document"),
            ("#anchor", "is not in the document"),
            ("#", "is not in the document"),
            ("", "another document"),
            ("#/loop", "max_ref_depth (4)"),
        ] {
            let error = resolved(reference).expect_err(reference).to_string();
            assert!(error.contains(message), "{reference}: {error}");
        }
        assert_eq!(references.max_depth(), 4);
    }
}
