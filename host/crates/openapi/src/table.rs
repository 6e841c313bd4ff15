//! The table of an API: the tool's operations, and the operations that are left out.

use std::fmt;

use serde::Serialize;

/// The operations of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The operations that the tool offers.
    pub operations: Vec<Operation>,
    /// The operations that `allow` admits but that cannot be called.
    pub left_out: Vec<LeftOut>,
    /// The number of operations that `allow` does not admit.
    pub not_allowed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    pub name: String,
    /// The method. `None` for the operation `request`, whose method the agent gives.
    pub method: Option<&'static str>,
    /// The path, with parameters in braces. `None` for the operation `request`.
    pub path: Option<String>,
    /// The description by which an agent decides whether to call the operation.
    pub description: String,
    /// The JSON Schema of the input, as text.
    #[serde(skip)]
    pub input_schema: String,
    /// The facts from which the component makes a request, as JSON text.
    #[serde(skip)]
    pub request: String,
}

/// An operation that `allow` admits but that cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub method: &'static str,
    pub path: String,
    /// The reason why the operation cannot be called.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.method, self.path, self.reason)
    }
}
