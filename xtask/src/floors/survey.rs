//! The survey of one crate: its files, and the circles among them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::circles::{self, Circle};
use super::crates::Crate;
use super::resolve::{self, Arrows};
use super::tree;

/// The files of a crate, and its circles as text.
#[derive(Default)]
pub struct Survey {
    pub files: BTreeSet<PathBuf>,
    pub in_circles: BTreeSet<PathBuf>,
    /// One sentence for each circle.
    pub circles: Vec<String>,
    /// The arrows inside each circle, one a line.
    pub arrows: Vec<String>,
}

/// Reads all targets of a crate. Each is a tree of modules. Files are named relative to `root`.
pub fn of(it: &Crate, root: &Path, text: &dyn Fn(&Path) -> Option<String>) -> Result<Survey> {
    let mut survey = Survey::default();
    for target in &it.roots {
        let tree = tree::of(target, text)?;
        let files: Vec<PathBuf> = tree
            .files
            .iter()
            .map(|file| file.strip_prefix(root).unwrap_or(file).to_owned())
            .collect();
        let arrows = resolve::arrows(&tree);
        for circle in circles::of(&arrows) {
            survey.circles.push(sentence(&it.name, &circle, &files));
            survey.arrows.push(lines(&arrows, &circle, &files));
            let members = circle.files.iter().map(|file| files[*file].clone());
            survey.in_circles.extend(members);
        }
        survey.files.extend(files);
    }
    Ok(survey)
}

fn sentence(name: &str, circle: &Circle, files: &[PathBuf]) -> String {
    let way: Vec<String> = circle
        .way
        .iter()
        .map(|file| files[*file].display().to_string())
        .collect();
    format!(
        "{name}: {} files need each other in a circle, for example {}",
        circle.files.len(),
        way.join(" -> ")
    )
}

fn lines(arrows: &Arrows, circle: &Circle, files: &[PathBuf]) -> String {
    let mut lines = String::new();
    for ((from, to), names) in arrows {
        if circle.files.contains(from) && circle.files.contains(to) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (from, to) = (files[*from].display(), files[*to].display());
            // Writing to text does not fail.
            let _ = writeln!(lines, "  {from} -> {to}: {}", names.join(", "));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(files: &[(&str, &str)]) -> Survey {
        let text = |path: &Path| {
            let mut all = files.iter();
            let found = all.find(|(name, _)| Path::new("/r").join(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let it = Crate {
            name: "tiny".to_owned(),
            roots: vec!["/r/lib.rs".into()],
            needs: Vec::new(),
        };
        of(&it, Path::new("/r"), &text).expect("a survey")
    }

    #[test]
    fn a_parent_and_a_child_that_use_each_other_are_a_circle() {
        let found = survey(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; pub struct Y; fn f(_: self::b::X) {}"),
            ("a/b.rs", "pub struct X; use super::Y;"),
        ]);
        assert_eq!((found.files.len(), found.in_circles.len()), (3, 2));
        assert_eq!(
            found.circles,
            ["tiny: 2 files need each other in a circle, for example a.rs -> a/b.rs -> a.rs"]
        );
        assert_eq!(found.arrows, ["  a.rs -> a/b.rs: X\n  a/b.rs -> a.rs: Y\n"]);
    }

    #[test]
    fn a_parent_that_re_exports_and_its_children_are_no_circle() {
        let found = survey(&[
            ("lib.rs", "mod a; pub use self::a::X;"),
            (
                "a.rs",
                "mod b; mod c; pub use self::b::X; #[cfg(test)] mod tests { use super::c::f; }",
            ),
            ("a/b.rs", "pub struct X;"),
            (
                "a/c.rs",
                "use super::X; use crate::X as Same; pub fn f() {}",
            ),
        ]);
        assert!(found.circles.is_empty(), "{:?}", found.circles);
    }
}
