//! The modules of a crate as data: what each one defines, imports and mentions.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// The segments of a path as they are written. An empty first one stands for a leading `::`.
pub type Route = Vec<String>;

/// All modules of one crate; the first is its root.
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
    /// What blocks inside functions import: other modules cannot name it.
    pub block_imports: HashMap<String, Vec<Route>>,
    /// Words inside macro calls that may define items here.
    pub generated: HashSet<String>,
    pub mentions: BTreeSet<Mention>,
}

/// What a name stands for in a module. One name can stand for several things.
pub enum Meaning {
    Module(usize),
    Type,
    Value,
    Macro,
    Import(Route),
}

/// A path that code of a module names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    pub route: Route,
    /// Whether it is called with a `!`: such a name is also visible to modules further in.
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

    /// Adds what a name stands for.
    pub fn define(&mut self, name: String, meaning: Meaning) {
        self.names.entry(name).or_default().push(meaning);
    }
}
