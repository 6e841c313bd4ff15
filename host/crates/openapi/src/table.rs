//! The table of an API: what a tool can be asked, and what is left out of its document.

use std::fmt;

use serde::Serialize;

/// What an API can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What the tool has.
    pub operations: Vec<Operation>,
    /// What `allow` admits and the tool has not.
    pub left_out: Vec<LeftOut>,
    /// How many operations `allow` does not admit.
    pub not_allowed: usize,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// The method; none for the operation `request`, which has any.
    pub method: Option<&'static str>,
    /// The path, with parameters in braces.
    pub path: Option<String>,
    /// For whom decides whether to call it.
    pub description: String,
    /// The JSON Schema of its input, as text.
    #[serde(skip)]
    pub input_schema: String,
    /// What the component makes a request of.
    #[serde(skip)]
    pub request: String,
}

/// An operation that the tool has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.method, self.path, self.reason)
    }
}
