//! `cargo xtask test-tools`: installs what some suites need besides Rust, so that none of them is skipped: Go, Node.js
//! and npm packages, Python packages, Chromium, and the servers and the token of KEK providers. What is there already is kept.

use crate::project::Project;
use crate::{debian, step};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// What shows that a tool is there, and the package that brings it.
const TOOLS: [(&[&str], &str); 6] = [
    (&["go", "version"], "golang-go"),
    (
        &[
            "node",
            "--eval",
            "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)",
        ],
        "nodejs",
    ),
    (&["npm", "--version"], "npm"),
    (&["python3", "-c", "import ensurepip, venv"], "python3-venv"),
    (&["chromium", "--version"], "chromium"),
    (&["softhsm2-util", "--version"], "softhsm2"),
];

/// The folders of `tests/` with npm packages.
const NPM_FOLDERS: [&str; 4] = [
    "contract/typescript",
    "browser",
    "mcp/node",
    "clients/openai",
];

/// Pythons of their own in the build's folder, and the pinned packages of each.
const PYTHONS: [(&str, &str); 5] = [
    ("schemathesis", "contract/schemathesis/requirements.txt"),
    ("mcp", "mcp/python/requirements.txt"),
    ("openai", "clients/openai/requirements.txt"),
    ("openbao", "kek/openbao-requirements.txt"),
    ("moto", "kek/moto-requirements.txt"),
];

/// Installs what is missing; `false` when packages of the system are, and cannot be installed by this user.
pub fn run(project: &Project) -> Result<bool> {
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(probe, _)| !answers(probe))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() && !debian::can_install() {
        let names = missing.join(" ");
        step::say(&format!(
            "Suites that need {names} will be skipped: nothing can be installed from here. \
             On Debian, as root: apt-get update && apt-get install --no-install-recommends {names}"
        ));
        return Ok(false);
    }
    debian::install(&missing)?;
    if let Some((_, package)) = TOOLS.iter().find(|(probe, _)| !answers(probe)) {
        bail!("{package} is installed and is not what the suites need (of Node.js: 20 or newer)");
    }
    let tests = project.tests();
    for folder in NPM_FOLDERS {
        install_npm_packages(&tests.join(folder))?;
    }
    for (name, requirements) in PYTHONS {
        install_python_packages(project, name, &tests.join(requirements))?;
    }
    Ok(true)
}

fn answers(probe: &[&str]) -> bool {
    step::answer(Command::new(probe[0]).args(&probe[1..])).is_some()
}

/// The packages of a lock file, which is not changed.
fn install_npm_packages(folder: &Path) -> Result<()> {
    step::say(&format!(
        "Installing the npm packages of {}",
        folder.display()
    ));
    step::run(Command::new("npm").current_dir(folder).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]))
}

/// A Python of its own in the build's folder, with the packages that are pinned.
fn install_python_packages(project: &Project, name: &str, requirements: &Path) -> Result<()> {
    step::say(&format!("Installing the Python packages of {name}"));
    let folder = project.target()?.join("test-tools").join(name);
    step::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    step::run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(requirements),
    )
}
