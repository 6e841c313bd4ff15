//! `cargo xtask guests`: sets up the toolchain and builds the components that the host embeds.
//! Components that are up to date are not built again.

use crate::project::Project;
use crate::wasm_toolchain::TARGET;
use crate::{setup, step};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The name of a guest's manifest.
const MANIFEST: &str = "tool.toml";

/// A guest and its manifest.
struct Guest {
    name: String,
    file: PathBuf,
    manifest: Manifest,
}

/// The part of a manifest that the encoding needs. The host's build reads the rest.
#[derive(Deserialize)]
struct Manifest {
    /// The imports of the component. The encoder refuses all others.
    imports: Vec<String>,
    /// Whether the component is pre-initialised.
    #[serde(default)]
    is_initialised: bool,
}

/// Builds every guest and encodes it as a component.
pub fn run(project: &Project) -> Result<()> {
    let toolchain = setup::run(project)?;
    let folder = project.guest_tools();
    let target = folder.join("target");

    step::say("Building the guests");
    step::run(
        toolchain
            .cargo_build()
            .current_dir(&folder)
            .args(["--release", "--locked", "--target-dir"])
            .arg(&target),
    )?;

    step::say("Building the encoder");
    let encoder = project.release_program("guest-encoder")?;
    let components = project.components();
    fs::create_dir_all(&components)
        .with_context(|| format!("{} cannot be made", components.display()))?;
    for guest in all(project)? {
        let module_name = guest.name.replace('-', "_");
        let module = target.join(TARGET).join("release").join(module_name);
        guest.encode(&encoder, &module.with_extension("wasm"), &components)?;
    }
    step::say(&format!("The components are in {}", components.display()));
    Ok(())
}

/// Returns the guests that have a manifest, sorted by name.
fn all(project: &Project) -> Result<Vec<Guest>> {
    let folder = project.guest_tools();
    let mut guests = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let file = entry.path().join(MANIFEST);
        if file.is_file() {
            let text = fs::read_to_string(&file)?;
            let manifest =
                toml::from_str(&text).with_context(|| format!("{} is wrong", file.display()))?;
            guests.push(Guest {
                name: entry.file_name().to_string_lossy().into_owned(),
                file,
                manifest,
            });
        }
    }
    guests.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(guests)
}

impl Guest {
    /// Encodes the guest, unless its component is newer than all its inputs.
    fn encode(&self, encoder: &Path, module: &Path, components: &Path) -> Result<()> {
        let component = components.join(&self.name).with_extension("wasm");
        let stamp = components.join(&self.name).with_extension("stamp");
        let own_program = std::env::current_exe().context("this program has no file")?;
        let inputs = [encoder, module, &own_program, &self.file].map(modified);
        let done = modified(&stamp).filter(|_| component.is_file());
        if done.is_some_and(|done| inputs.iter().all(|input| input.is_some_and(|at| at < done))) {
            return Ok(());
        }
        step::say(&format!("Encoding {}", self.name));
        let mut command = Command::new(encoder);
        command.arg(module).arg(&component);
        if self.manifest.is_initialised {
            command.arg("--init");
        }
        for import in &self.manifest.imports {
            command.args(["--import", import]);
        }
        step::run(&mut command)?;
        fs::write(&stamp, "").with_context(|| format!("{} cannot be written", stamp.display()))
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_of_the_workspace_has_a_manifest() {
        let project = Project::here();
        let named: Vec<String> = all(&project)
            .expect("the manifests are right")
            .into_iter()
            .map(|guest| guest.name)
            .collect();
        let mut members = Vec::new();
        for entry in fs::read_dir(project.guest_tools()).expect("readable") {
            let folder = entry.expect("readable").path();
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
            if text.contains("cdylib") {
                let name = folder.file_name().expect("a folder has a name");
                members.push(name.to_string_lossy().into_owned());
            }
        }
        members.sort();
        assert_eq!(named, members);
    }

    #[test]
    fn the_sandbox_may_import_nothing_but_tools() {
        let guests = all(&Project::here()).expect("the manifests are right");
        let sandbox = guests.iter().find(|guest| guest.name == "js-sandbox");
        let imports = &sandbox.expect("it is a guest").manifest.imports;
        assert!(imports.iter().all(|import| {
            // `types` holds no function, only the records of `tools`.
            ["tavora:platform/tools@0.1.0", "tavora:platform/types@0.1.0"]
                .contains(&import.as_str())
        }));
    }
}
