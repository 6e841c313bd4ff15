//! The free-form metadata of a vault. One member binds secrets to origins.
//!
//! An origin is only text here; the host's egress policy gives it meaning.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::secret::SecretName;

/// The largest metadata of a vault, in bytes of compact JSON.
pub const METADATA_MAX_BYTES: usize = 16 * 1024;

/// A vault's free-form JSON object of at most 16 KiB.
///
/// The vault itself reads one member: `origins` binds secrets to origins, `{"origins":
/// {"BRAVE_API_KEY": ["https://api.search.brave.com"]}}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

/// Why a value cannot be the metadata of a vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// The JSON is an array, a string or another value than an object.
    #[error("vault metadata must be a JSON object; wrap the value in one")]
    NotAnObject,
    /// The text is not JSON.
    #[error("vault metadata is not valid JSON; correct it")]
    NotJson,
    /// The JSON is larger than [`METADATA_MAX_BYTES`].
    #[error(
        "vault metadata has at most {METADATA_MAX_BYTES} bytes and this has {bytes}; store less"
    )]
    TooLarge {
        /// The size of the refused JSON.
        bytes: usize,
    },
    /// The member `origins` binds nothing, because it has another shape.
    #[error(
        "`origins` in vault metadata must map secret names to lists of origins; correct the entry {at:?}"
    )]
    BadOrigins {
        /// The name of the secret in question, or `origins` itself.
        at: String,
    },
}

impl Metadata {
    /// Checks an object's size and its `origins`.
    ///
    /// # Errors
    /// The value is no object, is too large, or has `origins` that cannot bind.
    pub fn parse(value: Value) -> Result<Self, InvalidMetadata> {
        let Value::Object(members) = value else {
            return Err(InvalidMetadata::NotAnObject);
        };
        let metadata = Self(members);
        let bytes = metadata.to_json().len();
        if bytes > METADATA_MAX_BYTES {
            return Err(InvalidMetadata::TooLarge { bytes });
        }
        metadata.check_origins()?;
        Ok(metadata)
    }

    /// The members of the JSON object.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The origins that a secret may be sent to. `None` when the metadata does not bind it.
    pub fn origins_of(&self, name: &SecretName) -> Option<Vec<String>> {
        let bound = self.0.get("origins")?.get(name.as_str())?.as_array()?;
        Some(
            bound
                .iter()
                .filter_map(|origin| origin.as_str().map(str::to_owned))
                .collect(),
        )
    }

    /// The JSON text that a store keeps.
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// Parses the JSON text that a store keeps.
    ///
    /// # Errors
    /// The text is no valid metadata.
    pub fn from_json(text: &str) -> Result<Self, InvalidMetadata> {
        Self::parse(serde_json::from_str(text).map_err(|_| InvalidMetadata::NotJson)?)
    }

    fn check_origins(&self) -> Result<(), InvalidMetadata> {
        let Some(origins) = self.0.get("origins") else {
            return Ok(());
        };
        let bad = |at: &str| InvalidMetadata::BadOrigins { at: at.to_owned() };
        for (name, list) in origins.as_object().ok_or_else(|| bad("origins"))? {
            let list = list.as_array().ok_or_else(|| bad(name))?;
            if name.parse::<SecretName>().is_err() || !list.iter().all(Value::is_string) {
                return Err(bad(name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_a_bounded_object_with_sound_origins() {
        assert_eq!(
            Metadata::parse(json!([])),
            Err(InvalidMetadata::NotAnObject)
        );
        let filler = |bytes: usize| json!({ "k": "x".repeat(bytes - r#"{"k":""}"#.len()) });
        assert!(Metadata::parse(filler(METADATA_MAX_BYTES)).is_ok());
        assert!(matches!(
            Metadata::parse(filler(METADATA_MAX_BYTES + 1)),
            Err(InvalidMetadata::TooLarge { .. })
        ));
        for bad in [
            json!({"origins": 1}),
            json!({"origins": {"A": "https://x"}}),
            json!({"origins": {"A": [1]}}),
            json!({"origins": {"a/b": []}}),
        ] {
            assert!(matches!(
                Metadata::parse(bad),
                Err(InvalidMetadata::BadOrigins { .. })
            ));
        }
        let metadata = Metadata::parse(json!({"origins": {"A": ["https://a.example"]}})).unwrap();
        assert_eq!(
            metadata.origins_of(&"A".parse().unwrap()),
            Some(vec!["https://a.example".to_owned()])
        );
        assert_eq!(metadata.origins_of(&"B".parse().unwrap()), None);
    }
}
