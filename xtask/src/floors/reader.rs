//! Reads one file. Its items become modules, names and mentions.

use std::path::PathBuf;

use proc_macro2::TokenStream;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Lit, UseTree, Visibility};

use super::module::{Meaning, Mention, Module, Route};
use super::test_only::is_for_tests;
use super::tokens;

/// A `mod name;` whose file must still be read.
pub struct Declared {
    pub name: String,
    pub parent: usize,
    /// The folder with the files of this file's modules.
    pub folder: PathBuf,
    /// The text of `#[path]`, unchanged.
    pub path: Option<String>,
    /// Whether it stands inside a `mod name { … }`.
    pub is_inner: bool,
}

/// The keys of `#[serde(key = "a::b")]` whose text is a path.
const SERDE_PATHS: [&str; 8] = [
    "default",
    "deserialize_with",
    "from",
    "into",
    "remote",
    "serialize_with",
    "try_from",
    "with",
];

/// Adds the content of `file` to the module `here`, and returns the modules that it declares.
pub fn read(
    file: &syn::File,
    modules: &mut Vec<Module>,
    here: usize,
    folder: PathBuf,
) -> Vec<Declared> {
    let mut reader = Reader {
        modules,
        here,
        folder,
        inner: 0,
        blocks: 0,
        declared: Vec::new(),
    };
    if !is_for_tests(&file.attrs) {
        reader.visit_file(file);
    }
    reader.declared
}

struct Reader<'a> {
    modules: &'a mut Vec<Module>,
    here: usize,
    folder: PathBuf,
    /// The number of open `mod name { … }`.
    inner: usize,
    /// The number of open blocks of code.
    blocks: usize,
    declared: Vec<Declared>,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        &mut self.modules[self.here]
    }

    fn mention(&mut self, route: Route, is_macro: bool) {
        let is_plain_self = route.len() == 1 && route[0] == "self";
        if route[0] != "Self" && !is_plain_self {
            self.module().mentions.insert(Mention { route, is_macro });
        }
    }

    fn define(&mut self, item: &Item) {
        let (name, meaning) = match item {
            Item::Const(it) => (&it.ident, Meaning::Value),
            Item::Enum(it) => (&it.ident, Meaning::Type),
            Item::Fn(it) => (&it.sig.ident, Meaning::Value),
            Item::Static(it) => (&it.ident, Meaning::Value),
            Item::Struct(it) => (&it.ident, Meaning::Type),
            Item::Trait(it) => (&it.ident, Meaning::Type),
            Item::TraitAlias(it) => (&it.ident, Meaning::Type),
            Item::Type(it) => (&it.ident, Meaning::Type),
            Item::Union(it) => (&it.ident, Meaning::Type),
            Item::Macro(it) => match &it.ident {
                Some(name) => (name, Meaning::Macro),
                None => {
                    let words = tokens::words(it.mac.tokens.clone());
                    self.module().generated.extend(words);
                    return;
                }
            },
            _ => return,
        };
        let name = name.to_string();
        self.module().define(name, meaning);
    }

    fn import(&mut self, tree: &UseTree, before: &Route, is_private: bool) {
        let with = |name: String| {
            let mut route = before.clone();
            route.push(name);
            route
        };
        let (name, route) = match tree {
            UseTree::Path(it) => {
                return self.import(&it.tree, &with(it.ident.to_string()), is_private);
            }
            UseTree::Group(it) => {
                return it
                    .items
                    .iter()
                    .for_each(|it| self.import(it, before, is_private));
            }
            UseTree::Glob(_) => {
                // A use through the star is found by its name. An enum is named before the star.
                self.mention_import(before.clone(), is_private);
                self.module().globs.insert(before.clone());
                return;
            }
            UseTree::Name(it) if it.ident == "self" => {
                (before.last().cloned().unwrap_or_default(), before.clone())
            }
            UseTree::Name(it) => (it.ident.to_string(), with(it.ident.to_string())),
            UseTree::Rename(it) if it.ident == "self" => (it.rename.to_string(), before.clone()),
            UseTree::Rename(it) => (it.rename.to_string(), with(it.ident.to_string())),
        };
        self.mention_import(route.clone(), is_private);
        let is_in_a_block = self.blocks > 0;
        let module = self.module();
        if is_in_a_block {
            module.block_imports.entry(name).or_default().push(route);
        } else {
            module.define(name, Meaning::Import(route));
        }
    }

    /// Notes a private import as a mention. A re-export is not one, because it needs nothing of the
    /// item that it passes on.
    fn mention_import(&mut self, route: Route, is_private: bool) {
        if is_private && !route.is_empty() {
            self.mention(route, false);
        }
    }

    fn declare(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        let Some((_, items)) = &item.content else {
            let path = item.attrs.iter().find_map(path_attribute);
            self.declared.push(Declared {
                name,
                parent: self.here,
                folder: self.folder.clone(),
                path,
                is_inner: self.inner > 0,
            });
            return;
        };
        let inner = self.modules.len();
        let file = self.module().file;
        let parent = std::mem::replace(&mut self.here, inner);
        self.modules.push(Module::new(file, Some(parent)));
        self.modules[parent].define(name.clone(), Meaning::Module(inner));
        self.folder.push(&name);
        self.inner += 1;
        items.iter().for_each(|it| self.visit_item(it));
        self.inner -= 1;
        self.folder.pop();
        self.here = parent;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(it) => return self.declare(it),
            Item::Use(it) => {
                let before: Route = it.leading_colon.iter().map(|_| String::new()).collect();
                let is_private = matches!(it.vis, Visibility::Inherited);
                return self.import(&it.tree, &before, is_private);
            }
            _ if self.blocks == 0 => self.define(item),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.blocks += 1;
        visit::visit_block(self, block);
        self.blocks -= 1;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.mention(route_of(path), false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.mention(route_of(&call.path), true);
        self.visit_token_stream(&call.tokens);
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        for it in tokens::mentions(tokens.clone()) {
            self.mention(it.route, it.is_macro);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let syn::Meta::List(list) = &attribute.meta else {
            return;
        };
        self.visit_token_stream(&list.tokens);
        if attribute.path().is_ident("serde") {
            // The compiler refuses what cannot be read here.
            let _ = attribute.parse_nested_meta(|meta| {
                let Ok(value) = meta.value() else {
                    return Ok(());
                };
                if let Lit::Str(text) = value.parse()?
                    && SERDE_PATHS.iter().any(|key| meta.path.is_ident(key))
                    && let Ok(path) = text.parse()
                {
                    self.mention(route_of(&path), false);
                }
                Ok(())
            });
        }
    }

    // `pub(in path)` needs nothing of the path.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn route_of(path: &syn::Path) -> Route {
    let leading = path.leading_colon.iter().map(|_| String::new());
    let segments = path.segments.iter().map(|it| it.ident.to_string());
    leading.chain(segments).collect()
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    match &meta.value {
        syn::Expr::Lit(it) if meta.path.is_ident("path") => match &it.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::ExternCrate(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::ForeignMod(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::TraitAlias(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}
