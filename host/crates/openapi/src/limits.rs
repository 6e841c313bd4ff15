//! `[limits.openapi]`: what one OpenAPI document may cost. The defaults let the large documents of
//! well-known APIs through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of one document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentLimits {
    /// The size of the file of an OpenAPI document.
    pub max_document_bytes: usize,
    /// The values in a document, with those behind a YAML alias counted at each of its places.
    pub max_nodes: usize,
    /// How deep values may stand in one another; 127 at most.
    pub max_depth: usize,
    /// The operations that `allow` may admit.
    pub max_operations: usize,
    /// How many `$ref`s are followed from one to the next.
    pub max_ref_depth: usize,
    /// The JSON Schema of one operation's input. A longer one is shortened, and the operation is
    /// left out where that does not do.
    pub max_schema_bytes: usize,
    /// The schemas of all operations together.
    pub max_table_bytes: usize,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self {
            max_document_bytes: 16 * 1024 * 1024,
            max_nodes: 2_000_000,
            max_depth: 127,
            max_operations: 500,
            max_ref_depth: 16,
            max_schema_bytes: 32 * 1024,
            max_table_bytes: 4 * 1024 * 1024,
        }
    }
}
