//! The imports that inspection finds.

use serde::{Deserialize, Serialize};

use super::place::Place;

/// An import, or a mention of an interface that passes between a component's own parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportFound {
    /// The name in the binary.
    pub name: String,
    /// The kind of the import.
    pub kind: ImportKind,
    /// The place in the component.
    pub place: Place,
    /// The fault in the import's type, for any class.
    #[serde(skip)]
    pub(super) type_fault: Option<String>,
}

/// The kind of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// An instance of an interface.
    Instance,
    /// One function.
    Function,
    /// A type.
    Type,
    /// A component.
    Component,
    /// A core module.
    CoreModule,
    /// A value.
    Value,
    /// The module name in an import of a core module.
    CoreImport,
    /// The name of an interface in an alias, an instance or the arguments of an instantiation.
    Mention,
}
