//! Embeds the guests that are built, with the `tool.toml` of each. A missing guest is left out: the
//! host still compiles, and reports at run time what is missing. xtask builds the guests.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The line of `tool.toml` that says that the host does not embed the guest.
const IS_FOR_TESTS: &str = "role = \"test\"";

fn main() {
    let crate_folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let guest_tools = Path::new(&crate_folder).join("../../../guest-tools");
    // A new guest is a new member of that workspace.
    rerun_if_changed(&guest_tools.join("Cargo.toml"));
    let mut source = String::from("[\n");
    for manifest in manifests(&guest_tools) {
        let text = fs::read_to_string(&manifest).expect("readable");
        if text.lines().any(|line| line == IS_FOR_TESTS) {
            continue;
        }
        let name = manifest.parent().and_then(Path::file_name);
        let name = name.and_then(|name| name.to_str()).expect("UTF-8");
        let components = guest_tools.join("target/components");
        let file = components.join(name).with_extension("wasm");
        rerun_if_changed(&file);
        let bytes = match file.canonicalize() {
            Ok(file) => format!("Some(include_bytes!({file:?}))"),
            Err(_) => "None".to_owned(),
        };
        source += &format!("    Guest {{ name: {name:?}, manifest: {text:?}, bytes: {bytes} }},\n");
    }
    source += "]\n";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("guests.rs"), source).expect("OUT_DIR can be written to");
}

/// The manifest of every guest, by the guest's name.
fn manifests(guest_tools: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(guest_tools).expect("the guests are beside the host");
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.expect("readable").path().join("tool.toml"))
        .filter(|file| file.is_file())
        .collect();
    files.sort();
    for file in &files {
        rerun_if_changed(file);
    }
    files
}

fn rerun_if_changed(file: &Path) {
    println!("cargo::rerun-if-changed={}", file.display());
}
