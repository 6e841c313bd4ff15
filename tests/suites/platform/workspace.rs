//! The dependencies between the crates of the workspace, and the imports of the built-in
//! components.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tavora_host::runtime::inspection::{self, Fit, InspectionLimits};

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the workspace")
        .to_owned()
}

/// The direct dependencies of a package of the workspace, by name.
fn dependencies(of: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("an array");
    let package = packages
        .iter()
        .find(|package| package["name"] == of)
        .unwrap_or_else(|| panic!("there is no package {of}"));
    package["dependencies"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn the_vault_knows_neither_the_runtime_nor_the_web() {
    let vault = dependencies("vault-core");
    for forbidden in [
        "wasmtime",
        "wasmtime-wasi",
        "axum",
        "hyper",
        "clap",
        "tavora-host",
    ] {
        assert!(
            !vault.contains(forbidden),
            "vault-core depends on {forbidden}"
        );
    }
    assert!(dependencies("tavora-host").contains("vault-core"));
    for forbidden in ["xtask", "tavora-tests"] {
        assert!(
            !dependencies("tavora-host").contains(forbidden),
            "the host depends on {forbidden}"
        );
    }
    assert!(!dependencies("xtask").contains("tavora-host"));
}

/// A crate that opens no store compiles no database driver: the drivers are features of the vault.
#[test]
fn only_who_opens_a_store_compiles_a_driver() {
    let drivers = |of: &str| {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges=normal",
                "--prefix=none",
                "--format={p}",
            ])
            .args(["--package", of])
            .current_dir(root())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{of}: {output:?}");
        let tree = String::from_utf8(output.stdout).expect("cargo prints text");
        ["rusqlite ", "tokio-postgres "].map(|driver| tree.lines().any(|it| it.starts_with(driver)))
    };
    for below in [
        "vault-core",
        "egress",
        "keks",
        "wasm",
        "agents",
        "platform",
        "api",
        "ui",
    ] {
        assert_eq!(drivers(below), [false, false], "{below}");
    }
    assert_eq!(drivers("tavora-host"), [true, true]);
}

#[test]
fn guests_share_no_rust_type_with_the_host() {
    let mut manifests = 0;
    for entry in std::fs::read_dir(root().join("guest-tools")).expect("readable") {
        let manifest = entry.expect("readable").path().join("Cargo.toml");
        if let Ok(text) = std::fs::read_to_string(&manifest) {
            manifests += 1;
            for forbidden in ["vault-core", "tavora-host", "../../"] {
                assert!(
                    !text.contains(forbidden),
                    "{} names {forbidden}",
                    manifest.display()
                );
            }
        }
    }
    assert!(manifests >= 3, "only {manifests} guests were found");
}

#[test]
fn built_in_components_import_what_their_class_may_and_no_more() {
    const OF_A_TOOL: &[&str] = &[
        "tavora:platform/secrets@0.1.0",
        "tavora:platform/types@0.1.0",
        "wasi:config/store@0.2.0-rc.1",
        "wasi:http/outgoing-handler@0.2.12",
        "wasi:http/types@0.2.12",
        "wasi:io/error@0.2.12",
        "wasi:io/poll@0.2.12",
        "wasi:io/streams@0.2.12",
        "wasi:clocks/monotonic-clock@0.2.12",
    ];
    let expected: [(&str, &[&str]); 5] = [
        (
            "js-sandbox",
            &["tavora:platform/tools@0.1.0", "tavora:platform/types@0.1.0"],
        ),
        ("brave-search", OF_A_TOOL),
        ("http-api", OF_A_TOOL),
        ("llm-router", OF_A_TOOL),
        ("mcp-client", OF_A_TOOL),
    ];
    for (name, allowed) in expected {
        let path = root()
            .join("guest-tools/target/components")
            .join(name)
            .with_extension("wasm");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; run `cargo xtask guests`", path.display())
        });
        let inspection =
            inspection::inspect(&bytes, &InspectionLimits::default()).expect("a component");
        let outermost = inspection
            .imports
            .iter()
            .filter(|import| import.place.is_top());
        for import in outermost {
            assert!(
                allowed.contains(&import.name.as_str()),
                "{name} imports {} ({})",
                import.name,
                import.place
            );
        }
        assert_eq!(
            matches!(inspection.class, Fit::Agent),
            name == "js-sandbox",
            "{name}"
        );
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut folders = vec![root()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("UTF-8");
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.')
            {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files += 1;
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                assert!(
                    text.starts_with("//!"),
                    "{} does not open with what it is for",
                    path.display()
                );
            }
        }
    }
    assert!(files > 50, "only {files} files were found");
}
