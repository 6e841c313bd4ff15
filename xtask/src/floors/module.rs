//! The modules of a crate as data: their definitions, imports and mentions.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// The segments of a path as they are written. An empty first segment stands for a leading `::`.
pub type Route = Vec<String>;

/// All modules of one crate. The first one is its root.
#[derive(Default)]
pub struct Tree {
    pub files: Vec<PathBuf>,
    pub modules: Vec<Module>,
}

/// One module: a file, or a `mod name { … }` in one.
#[derive(Default)]
pub struct Module {
    pub file: usize,
    pub parent: Option<usize>,
    pub names: HashMap<String, Vec<Meaning>>,
    pub globs: BTreeSet<Route>,
    /// The imports of blocks inside functions. Other modules cannot name them.
    pub block_imports: HashMap<String, Vec<Route>>,
    /// Words inside macro calls that may define items in this module.
    pub generated: HashSet<String>,
    pub mentions: BTreeSet<Mention>,
}

/// The meaning of a name in a module. One name can have several meanings.
pub enum Meaning {
    Module(usize),
    Type,
    Value,
    Macro,
    Import(Route),
}

/// A path in the code of a module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    pub route: Route,
    /// Whether it is called with a `!`. Such a name is also visible in inner modules.
    pub is_macro: bool,
}

impl Module {
    /// An empty module.
    pub fn new(file: usize, parent: Option<usize>) -> Self {
        Self {
            file,
            parent,
            ..Self::default()
        }
    }

    /// Adds a meaning of a name.
    pub fn define(&mut self, name: String, meaning: Meaning) {
        self.names.entry(name).or_default().push(meaning);
    }
}
