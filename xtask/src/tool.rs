//! `cargo xtask tool FOLDER`: builds a tool that is a crate of its own, anywhere, in the way that
//! the guests are built. It puts the component beside the crate's `Cargo.toml`. The imports are not
//! checked here; the host checks them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::step;
use crate::wasm_toolchain::{TARGET, WasmToolchain};

/// Builds the tool in the folder that is the only argument.
pub fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let [folder] = arguments else {
        bail!("usage: cargo xtask tool FOLDER");
    };
    let folder = Path::new(folder)
        .canonicalize()
        .with_context(|| format!("there is no folder {folder}"))?;
    let toolchain = WasmToolchain::make_ready()?;
    let name = package_name(&toolchain, &folder)?;
    step::say(&format!("Building {name} with {}", toolchain.description()));
    // Use the guests' own target folder, so that shared dependencies are compiled once.
    let target = project.guest_tools().join("target");
    step::run(
        toolchain
            .cargo()
            .arg("build")
            .args(toolchain.build_arguments())
            .current_dir(&folder)
            .args(["--release", "--target-dir"])
            .arg(&target),
    )?;
    let module = target.join(TARGET).join("release");
    let module = module.join(name.replace('-', "_")).with_extension("wasm");
    let component = folder.join(&name).with_extension("wasm");
    let encoder = project.release_program("guest-encoder")?;
    step::run(
        std::process::Command::new(encoder)
            .args([&module, &component])
            .arg("--any-import"),
    )?;
    step::say(&format!("The component is {}", component.display()));
    Ok(())
}

/// The name of the package in `folder`, as cargo reports it.
fn package_name(toolchain: &WasmToolchain, folder: &Path) -> Result<String> {
    let manifest: PathBuf = folder.join("Cargo.toml");
    let metadata = step::answer(
        toolchain
            .cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .arg("--manifest-path")
            .arg(&manifest),
    )
    .with_context(|| format!("cargo cannot read {}", manifest.display()))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    match metadata["packages"].as_array().map(Vec::as_slice) {
        Some([package]) => Ok(package["name"]
            .as_str()
            .context("a package has a name")?
            .to_owned()),
        _ => bail!("{} is not of one package", manifest.display()),
    }
}
