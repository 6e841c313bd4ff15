//! All files of one crate, starting from its root file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::module::{Meaning, Module, Tree};
use super::reader::{self, Declared};

/// The modules of the crate with the root file `root`. `text` reads a file, or returns `None` where
/// there is none.
pub fn of(root: &Path, text: &dyn Fn(&Path) -> Option<String>) -> Result<Tree> {
    let mut tree = Tree::default();
    let folder = folder_of(root);
    let mut open: VecDeque<Declared> = add(&mut tree, None, root, folder, text)?.into();
    while let Some(declared) = open.pop_front() {
        let (file, folder) = file_of(&tree, &declared, text)?;
        let module = tree.modules.len();
        tree.modules[declared.parent].define(declared.name, Meaning::Module(module));
        open.extend(add(&mut tree, Some(declared.parent), &file, folder, text)?);
    }
    Ok(tree)
}

fn add(
    tree: &mut Tree,
    parent: Option<usize>,
    file: &Path,
    folder: PathBuf,
    text: &dyn Fn(&Path) -> Option<String>,
) -> Result<Vec<Declared>> {
    let text = text(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let parsed =
        syn::parse_file(&text).with_context(|| format!("{} is not parsed", file.display()))?;
    let module = tree.modules.len();
    tree.modules.push(Module::new(tree.files.len(), parent));
    tree.files.push(file.to_owned());
    Ok(reader::read(&parsed, &mut tree.modules, module, folder))
}

/// The file of a module, and the folder of its own modules.
fn file_of(
    tree: &Tree,
    declared: &Declared,
    text: &dyn Fn(&Path) -> Option<String>,
) -> Result<(PathBuf, PathBuf)> {
    let name = &declared.name;
    let parent = &tree.files[tree.modules[declared.parent].file];
    if let Some(path) = &declared.path {
        if declared.is_inner {
            bail!(
                "{}: #[path] inside `mod … {{ … }}` is not supported (module {name})",
                parent.display()
            );
        }
        let file = folder_of(parent).join(path);
        let folder = folder_of(&file);
        return Ok((file, folder));
    }
    let folder = declared.folder.join(name);
    let file = declared.folder.join(format!("{name}.rs"));
    let old_file = folder.join("mod.rs");
    let files = [file, old_file];
    let found = files.into_iter().find(|file| text(file).is_some());
    let file = found
        .with_context(|| format!("{} declares module {name} without a file", parent.display()))?;
    Ok((file, folder))
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_owned()
}
