//! The folders of the project, and cargo as they need it. Nothing is built here.

use crate::step;
use anyhow::{Context, Result};
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's folders on this machine.
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The project that this program was built from.
    pub fn here() -> Self {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = crate_folder
            .parent()
            .expect("xtask is a folder of the project");
        Self {
            root: root.to_owned(),
        }
    }

    /// The folder of the root workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The workspace of the guests.
    pub fn guest_tools(&self) -> PathBuf {
        self.root.join("guest-tools")
    }

    /// The suites, and their requirements.
    pub fn tests(&self) -> PathBuf {
        self.root.join("tests")
    }

    /// The folder of the finished components, where the host's build looks for them.
    pub fn components(&self) -> PathBuf {
        self.guest_tools().join("target").join("components")
    }

    /// Cargo in the root workspace, without the variables that `cargo run` adds. Build scripts that
    /// read them would rebuild each time.
    pub fn cargo(&self) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_set_by_cargo_run) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Builds the program `name` as it is shipped and returns its path. The whole workspace takes
    /// part in the choice of features, so that one build of each dependency serves every program.
    pub fn release_program(&self, name: &str) -> Result<PathBuf> {
        step::run(
            self.cargo()
                .args(["build", "--release", "--workspace", "--bin", name]),
        )?;
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        Ok(self.target()?.join("release").join(file))
    }

    /// The target folder of the root workspace.
    pub fn target(&self) -> Result<PathBuf> {
        let metadata =
            step::answer(
                self.cargo()
                    .args(["metadata", "--no-deps", "--format-version", "1"]),
            )
            .context("cargo metadata failed; run it to see why")?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let folder = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target_directory")?;
        Ok(folder.into())
    }
}

fn is_set_by_cargo_run(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "CARGO",
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
    ];
    NAMES.contains(&name) || name.starts_with("CARGO_PKG_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_user_stay() {
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
            "CARGO_BUILD_JOBS",
        ] {
            assert!(!is_set_by_cargo_run(name), "{name}");
        }
        assert!(is_set_by_cargo_run("CARGO_PKG_VERSION"));
    }

    #[test]
    fn it_is_the_folder_with_the_contract() {
        assert!(Project::here().root.join("wit/world.wit").is_file());
    }
}
