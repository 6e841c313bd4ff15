//! The crates of both workspaces, as cargo reports them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::project::Project;
use crate::step;

/// A member of a workspace.
pub struct Crate {
    pub name: String,
    /// The root file of each target: a library, a program, a suite or a build script.
    pub roots: Vec<PathBuf>,
    /// The crates of the repository that it depends on, apart from dependencies of its tests.
    pub needs: Vec<String>,
}

/// All crates of the repository.
pub fn all(project: &Project) -> Result<Vec<Crate>> {
    let mut crates = Vec::new();
    for folder in [project.root().to_owned(), project.guest_tools()] {
        let mut metadata = project.cargo();
        metadata
            .current_dir(&folder)
            .args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = step::answer(&mut metadata)
            .with_context(|| format!("cargo metadata fails in {}", folder.display()))?;
        crates.extend(members(&MetadataCommand::parse(metadata)?));
    }
    Ok(crates)
}

fn members(metadata: &Metadata) -> Vec<Crate> {
    let packages = metadata.workspace_packages();
    let members = packages.iter().map(|package| Crate {
        name: package.name.to_string(),
        roots: package
            .targets
            .iter()
            .map(|target| target.src_path.clone().into_std_path_buf())
            .collect(),
        needs: package
            .dependencies
            .iter()
            .filter(|it| it.path.is_some() && it.kind != DependencyKind::Development)
            .map(|it| it.name.clone())
            .collect(),
    });
    members.collect()
}
