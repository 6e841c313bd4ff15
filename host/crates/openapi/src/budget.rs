//! The budget of one document while it is read, and the errors of a document that cannot be used.

use std::cell::Cell;

use crate::DocumentLimits;

/// The reason why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The file is longer than `max_document_bytes`.
    #[error("the document has more bytes than limits.openapi.max_document_bytes ({0}) allows")]
    TooLong(usize),
    /// The document has too many values.
    #[error(
        "the document has more values, aliases written out, than limits.openapi.max_nodes ({0}) allows"
    )]
    TooManyNodes(usize),
    /// The document's aliases stand for too much text.
    #[error(
        "the document has more text, aliases written out, than limits.openapi.max_document_bytes ({0}) allows"
    )]
    TooMuchText(usize),
    /// The document is nested too deeply.
    #[error("the document is nested deeper than limits.openapi.max_depth ({0}) allows")]
    TooDeep(usize),
    /// The file is not UTF-8.
    #[error("the document is not UTF-8")]
    NotText,
    /// The file is neither JSON nor YAML.
    #[error("the document is neither JSON nor YAML: {0}")]
    Syntax(String),
    /// The file has no key `openapi` with a version.
    #[error("the document is not OpenAPI: it has no key \"openapi\" with a version")]
    NotOpenApi,
    /// The document is Swagger 2.0.
    #[error(
        "the document is Swagger 2.0; convert it to OpenAPI 3.0 or 3.1, for example with swagger2openapi"
    )]
    Swagger,
    /// The document is OpenAPI of an unknown version.
    #[error("the document is OpenAPI {0}; 3.0 and 3.1 are known")]
    Version(String),
    /// The document has no `paths`.
    #[error("the document has no \"paths\"")]
    NoPaths,
    /// `allow` admits too many operations of the document.
    #[error(
        "allow admits {count} operations of the document, and limits.openapi.max_operations allows {allowed}; name fewer in allow"
    )]
    TooManyOperations {
        /// The number of operations that `allow` admits.
        count: usize,
        /// The value of `limits.openapi.max_operations`.
        allowed: usize,
    },
    /// The schemas of the admitted operations have too many bytes.
    #[error(
        "the schemas of the admitted operations have more bytes than limits.openapi.max_table_bytes ({0}) allows; name fewer in allow"
    )]
    TableTooLong(usize),
}

/// Counts down the values and the text that a document may still have.
pub(crate) struct Budget {
    nodes_left: Cell<usize>,
    /// The text that aliases and anchors may still copy, in bytes.
    text_left: Cell<usize>,
    max_text: usize,
    /// The error that stopped the reading. Readers whose own errors are texts leave it here.
    pub(crate) fault: Cell<Option<DocumentError>>,
    max_nodes: usize,
    max_depth: usize,
}

impl Budget {
    pub(crate) fn new(limits: &DocumentLimits) -> Self {
        Self {
            nodes_left: Cell::new(limits.max_nodes),
            text_left: Cell::new(limits.max_document_bytes),
            max_text: limits.max_document_bytes,
            fault: Cell::new(None),
            max_nodes: limits.max_nodes,
            max_depth: limits.max_depth,
        }
    }

    /// Counts text that an alias or an anchor copies, in bytes.
    pub(crate) fn take_text(&self, bytes: usize) -> Result<(), DocumentError> {
        let left = self.text_left.get().checked_sub(bytes);
        let left = left.ok_or(DocumentError::TooMuchText(self.max_text))?;
        self.text_left.set(left);
        Ok(())
    }

    /// Counts one value, and checks the depth at which it stands.
    pub(crate) fn take(&self, depth: usize) -> Result<(), DocumentError> {
        if depth > self.max_depth {
            return Err(DocumentError::TooDeep(self.max_depth));
        }
        let left = self.nodes_left.get();
        let left = left.checked_sub(1);
        let left = left.ok_or(DocumentError::TooManyNodes(self.max_nodes))?;
        self.nodes_left.set(left);
        Ok(())
    }
}
