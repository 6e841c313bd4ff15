//! What the inspection finds that a component imports.

use serde::{Deserialize, Serialize};

use super::place::Place;

/// Something that a component takes from outside, or a name by which it passes an interface around
/// inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportFound {
    /// The name as it stands in the binary.
    pub name: String,
    /// What is imported under that name.
    pub kind: ImportKind,
    /// Where in the component it stands.
    pub place: Place,
    /// What is wrong with its type, whatever the class.
    #[serde(skip)]
    pub(super) type_fault: Option<String>,
}

/// What an import brings in.
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
    /// The module name of imports of a core module.
    CoreImport,
    /// The name of an interface in an alias, an instance or the arguments of an instantiation.
    Mention,
}
