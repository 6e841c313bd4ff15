//! The arrows of one crate: which file names an item of which other file.
//!
//! A path is followed through imports and re-exports to the file that defines the item. A name from
//! a macro belongs to the file that calls the macro. Method calls name no item, so they are not
//! seen.

use std::collections::{BTreeMap, BTreeSet};

use super::module::{Meaning, Mention, Module, Route, Tree};

/// Maps a file and another file that it uses to the names of the used items.
pub type Arrows = BTreeMap<(usize, usize), BTreeSet<String>>;

/// The arrows between the files of `tree`.
pub fn arrows(tree: &Tree) -> Arrows {
    let resolver = Resolver {
        modules: &tree.modules,
    };
    let mut arrows = Arrows::new();
    for (at, module) in tree.modules.iter().enumerate() {
        for mention in &module.mentions {
            for target in resolver.mentioned(at, mention) {
                if let Target::Item { file, name, .. } = target
                    && file != module.file
                {
                    arrows.entry((module.file, file)).or_default().insert(name);
                }
            }
        }
    }
    arrows
}

#[derive(Clone)]
enum Target {
    Item {
        file: usize,
        name: String,
        /// Whether more segments may follow: a variant or an associated item.
        is_type: bool,
    },
    Module(usize),
    /// An item of another crate.
    Elsewhere,
}

/// The names that are being looked up. A name that refers to itself has no target.
type Seen = Vec<(usize, String)>;

struct Resolver<'a> {
    modules: &'a [Module],
}

impl Resolver<'_> {
    fn mentioned(&self, at: usize, mention: &Mention) -> Vec<Target> {
        let module = &self.modules[at];
        let seen = &mut Seen::new();
        let mut targets = self.follow(at, &mention.route, seen);
        // A block's import is visible only to its own module.
        for route in module
            .block_imports
            .get(&mention.route[0])
            .into_iter()
            .flatten()
        {
            let start = self.follow(at, route, seen);
            targets.extend(self.walk(start, &mention.route[1..], seen));
        }
        if mention.is_macro && mention.route.len() == 1 {
            let is_found = targets.iter().any(|it| !matches!(it, Target::Elsewhere));
            if !is_found {
                targets.extend(self.macro_further_out(at, &mention.route[0]));
            }
        }
        targets
    }

    fn follow(&self, at: usize, route: &[String], seen: &mut Seen) -> Vec<Target> {
        let Some((first, rest)) = route.split_first() else {
            return Vec::new();
        };
        let start = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(at)],
            "super" => vec![self.parent(at)],
            "" => vec![Target::Elsewhere],
            name => self
                .find(at, name, seen)
                .unwrap_or_else(|| vec![Target::Elsewhere]),
        };
        self.walk(start, rest, seen)
    }

    fn walk(&self, start: Vec<Target>, route: &[String], seen: &mut Seen) -> Vec<Target> {
        route.iter().fold(start, |targets, segment| {
            let mut next = Vec::new();
            for target in targets {
                match target {
                    Target::Elsewhere => next.push(Target::Elsewhere),
                    Target::Item { is_type: true, .. } => next.push(target),
                    Target::Item { is_type: false, .. } => {}
                    Target::Module(module) if segment == "super" => next.push(self.parent(module)),
                    Target::Module(module) => {
                        let made_by_a_macro = || vec![self.item(module, segment, true)];
                        let found = self.find(module, segment, seen);
                        next.extend(found.unwrap_or_else(made_by_a_macro));
                    }
                }
            }
            next
        })
    }

    /// The meaning of `name` in the module `at`; `None` when the module does not define it.
    fn find(&self, at: usize, name: &str, seen: &mut Seen) -> Option<Vec<Target>> {
        let key = (at, name.to_owned());
        if seen.contains(&key) {
            // `pub use self::name::name`: the import needs the module of the same name.
            let targets = self.meanings(at, name, |_| Vec::new());
            return (!targets.is_empty()).then_some(targets);
        }
        seen.push(key);
        let found = self.find_unseen(at, name, seen);
        seen.pop();
        found
    }

    fn find_unseen(&self, at: usize, name: &str, seen: &mut Seen) -> Option<Vec<Target>> {
        let module = &self.modules[at];
        if module.names.contains_key(name) {
            return Some(self.meanings(at, name, |route| self.follow(at, route, seen)));
        }
        if module.generated.contains(name) {
            return Some(vec![self.item(at, name, true)]);
        }
        let mut is_open = false;
        let mut targets = Vec::new();
        for glob in &module.globs {
            for target in self.follow(at, glob, seen) {
                match target {
                    Target::Module(it) => {
                        targets.extend(self.find(it, name, seen).unwrap_or_default());
                    }
                    Target::Item { .. } | Target::Elsewhere => is_open = true,
                }
            }
        }
        match targets.is_empty() {
            false => Some(targets),
            // The name may come from something that cannot be looked into.
            true if is_open => Some(vec![Target::Elsewhere]),
            true => None,
        }
    }

    /// The module's own meanings of `name`. `import` follows what it imports.
    fn meanings(
        &self,
        at: usize,
        name: &str,
        mut import: impl FnMut(&Route) -> Vec<Target>,
    ) -> Vec<Target> {
        let meanings = self.modules[at].names.get(name).into_iter().flatten();
        let targets = meanings.flat_map(|meaning| match meaning {
            Meaning::Module(it) => vec![Target::Module(*it)],
            Meaning::Type => vec![self.item(at, name, true)],
            Meaning::Value | Meaning::Macro => vec![self.item(at, name, false)],
            Meaning::Import(route) => import(route),
        });
        targets.collect()
    }

    fn item(&self, at: usize, name: &str, is_type: bool) -> Target {
        Target::Item {
            file: self.modules[at].file,
            name: name.to_owned(),
            is_type,
        }
    }

    /// A `macro_rules!` of an outer module.
    fn macro_further_out(&self, at: usize, name: &str) -> Option<Target> {
        let mut module = &self.modules[at];
        loop {
            let outer = module.parent?;
            module = &self.modules[outer];
            let meanings = module.names.get(name).into_iter().flatten();
            if meanings.into_iter().any(|it| matches!(it, Meaning::Macro)) {
                return Some(self.item(outer, name, false));
            }
        }
    }

    fn parent(&self, at: usize) -> Target {
        let parent = self.modules[at].parent;
        parent.map_or(Target::Elsewhere, Target::Module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floors::tree;
    use std::path::Path;

    /// The arrows of a crate with these files. The first one is the root.
    fn shown(files: &[(&str, &str)]) -> Vec<String> {
        let text = |path: &Path| {
            let mut all = files.iter();
            let found = all.find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let tree = tree::of(Path::new(files[0].0), &text).expect("a tree");
        let name = |file: usize| tree.files[file].display().to_string();
        arrows(&tree)
            .into_iter()
            .map(|((from, to), names)| {
                let names: Vec<String> = names.into_iter().collect();
                format!("{} -> {}: {}", name(from), name(to), names.join(" "))
            })
            .collect()
    }

    #[test]
    fn a_use_and_a_path_are_arrows() {
        let found = shown(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            (
                "a.rs",
                "use crate::b; use super::c::C as D; fn f() { b::g() }",
            ),
            ("b.rs", "pub fn g() { println!(\"{}\", crate::c::h()) }"),
            ("c.rs", "pub struct C; pub fn h() {}"),
        ]);
        assert_eq!(
            found,
            ["a.rs -> b.rs: g", "a.rs -> c.rs: C", "b.rs -> c.rs: h"]
        );
    }

    #[test]
    fn a_re_export_is_no_arrow_and_leads_to_the_file_that_defines() {
        let found = shown(&[
            ("lib.rs", "mod a; mod c; pub use a::*;"),
            ("a.rs", "mod b; mod g; pub use self::b::X; pub use g::*;"),
            ("a/b.rs", "pub struct X; use crate::Y;"),
            ("a/g.rs", "pub struct Y;"),
            ("c.rs", "use crate::a::X; fn f(_: crate::X) {}"),
        ]);
        assert_eq!(found, ["c.rs -> a/b.rs: X", "a/b.rs -> a/g.rs: Y"]);
    }

    #[test]
    fn a_function_named_like_its_module_is_found() {
        let found = shown(&[
            ("lib.rs", "mod a; mod c;"),
            ("a.rs", "mod b; pub use self::b::b;"),
            ("a/b.rs", "pub fn b() {}"),
            ("c.rs", "use crate::a::b;"),
        ]);
        assert_eq!(found, ["c.rs -> a/b.rs: b"]);
    }

    #[test]
    fn a_re_export_that_its_own_file_uses_is_an_arrow() {
        let found = shown(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; pub use self::b::X; pub struct Y(X);"),
            ("a/b.rs", "pub struct X; impl From<super::Y> for X {}"),
        ]);
        assert_eq!(found, ["a.rs -> a/b.rs: X", "a/b.rs -> a.rs: Y"]);
    }

    #[test]
    fn what_is_for_tests_is_not_counted() {
        let found = shown(&[
            ("lib.rs", "mod a; #[cfg(test)] mod missing;"),
            (
                "a.rs",
                "mod b; pub struct Y; #[cfg(test)] mod tests { use super::b::X; }
                 #[cfg(test)] use self::b::X; impl Y { #[cfg(test)] fn f(_: b::X) {} }",
            ),
            ("a/b.rs", "pub struct X; use super::Y;"),
        ]);
        assert_eq!(found, ["a/b.rs -> a.rs: Y"]);
    }

    #[test]
    fn a_glob_leads_to_what_is_used_through_it() {
        let found = shown(&[
            ("lib.rs", "mod a; mod z; use z::Z; pub struct L;"),
            ("a.rs", "use super::*; fn f(_: Z) {}"),
            ("z.rs", "pub struct Z;"),
        ]);
        assert_eq!(found, ["lib.rs -> z.rs: Z", "a.rs -> z.rs: Z"]);
    }

    #[test]
    fn what_a_macro_makes_belongs_to_the_file_of_its_call() {
        let found = shown(&[
            (
                "lib.rs",
                "macro_rules! id { ($n:ident) => { pub struct $n; } } mod a; mod b;",
            ),
            ("a.rs", "id!(A); wit::generate!({ path: \"x\" });"),
            (
                "b.rs",
                "use crate::a::{A, exports::Guest}; fn f() { use std::fmt::Z; }",
            ),
        ]);
        assert_eq!(found, ["a.rs -> lib.rs: id", "b.rs -> a.rs: A exports"]);
    }

    #[test]
    fn inline_modules_paths_and_serde_attributes_are_read() {
        let found = shown(&[
            (
                "lib.rs",
                "#[path = \"other/x.rs\"] mod a; mod b { pub mod c; pub struct B; }",
            ),
            ("other/x.rs", "pub fn make() {}"),
            (
                "b/c.rs",
                "use super::super::a;
                 struct S { #[serde(default = \"a::make\", skip)] s: super::B }",
            ),
        ]);
        assert_eq!(found, ["b/c.rs -> lib.rs: B", "b/c.rs -> other/x.rs: make"]);
    }
}
