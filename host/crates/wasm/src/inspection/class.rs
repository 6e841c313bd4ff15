//! The classes that a component is inspected for.

use serde::{Deserialize, Serialize};

/// The two classes of `wit/world.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Supplied by an agent: it can call tools and nothing else.
    Agent,
    /// Listed by the operator: it can ask for credentials.
    Tool,
}
