//! What one document may still have while it is read, and why one cannot be used.

use std::cell::Cell;

use crate::DocumentLimits;

/// Why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The file is too large.
    #[error("the document has more bytes than limits.openapi.max_document_bytes ({0}) allows")]
    TooLong(usize),
    /// It has too many values.
    #[error(
        "the document has more values, aliases written out, than limits.openapi.max_nodes ({0}) allows"
    )]
    TooManyNodes(usize),
    /// Its aliases stand for too much text.
    #[error(
        "the document has more text, aliases written out, than limits.openapi.max_document_bytes ({0}) allows"
    )]
    TooMuchText(usize),
    /// It is nested too deeply.
    #[error("the document is nested deeper than limits.openapi.max_depth ({0}) allows")]
    TooDeep(usize),
    /// It is not text.
    #[error("the document is not UTF-8")]
    NotText,
    /// It is neither JSON nor YAML.
    #[error("the document is neither JSON nor YAML: {0}")]
    Syntax(String),
    /// It is something else.
    #[error("the document is not OpenAPI: it has no key \"openapi\" with a version")]
    NotOpenApi,
    /// It is of the version before.
    #[error(
        "the document is Swagger 2.0; convert it to OpenAPI 3.0 or 3.1, for example with swagger2openapi"
    )]
    Swagger,
    /// It is of another version.
    #[error("the document is OpenAPI {0}; 3.0 and 3.1 are known")]
    Version(String),
    /// It describes no path.
    #[error("the document has no \"paths\"")]
    NoPaths,
    /// `allow` admits too much of it.
    #[error(
        "allow admits {count} operations of the document, and limits.openapi.max_operations allows {allowed}; name fewer in allow"
    )]
    TooManyOperations {
        /// How many there are.
        count: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// Its operations need too much room.
    #[error(
        "the schemas of the admitted operations have more bytes than limits.openapi.max_table_bytes ({0}) allows; name fewer in allow"
    )]
    TableTooLong(usize),
}

/// What one document may still have.
pub(crate) struct Budget {
    nodes_left: Cell<usize>,
    /// What aliases and anchors may copy, in bytes.
    text_left: Cell<usize>,
    max_text: usize,
    /// Why reading was stopped, for readers whose errors are texts.
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

    /// Counts text that is copied.
    pub(crate) fn take_text(&self, bytes: usize) -> Result<(), DocumentError> {
        let left = self.text_left.get().checked_sub(bytes);
        let left = left.ok_or(DocumentError::TooMuchText(self.max_text))?;
        self.text_left.set(left);
        Ok(())
    }

    /// Counts one value at this depth.
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
