//! `cargo xtask test-tools`: installs what some suites need besides Rust, so that none of them is
//! skipped: Go, Node.js and npm packages, Python packages, Chromium, strace, nginx, PostgreSQL, and
//! the servers and the token of KEK providers. Tools that are already installed stay.

use crate::project::Project;
use crate::{debian, step};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command that shows that a tool is installed, and the package that brings it.
const TOOLS: [(&[&str], &str); 9] = [
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
    (PYTHON, "python3-venv"),
    (&["chromium", "--version"], "chromium"),
    (&["strace", "--version"], "strace"),
    (&["softhsm2-util", "--version"], "softhsm2"),
    (NGINX, "nginx-light"),
    (POSTGRESQL, "postgresql"),
];

/// Debian keeps nginx in a folder that is only in root's PATH.
const NGINX: &[&str] = &["/usr/sbin/nginx", "-v"];

/// Debian keeps PostgreSQL's programs outside the PATH.
const POSTGRESQL: &[&str] = &[
    "sh",
    "-c",
    "ls /usr/lib/postgresql/*/bin/initdb || initdb --version",
];

const PYTHON: &[&str] = &["python3", "-c", "import ensurepip, venv"];

/// The folders of `tests/` with npm packages.
const NPM_FOLDERS: [&str; 5] = [
    "contract/typescript",
    "browser",
    "mcp/node",
    "clients/openai",
    "openapi",
];

/// A folder that people copy, so its npm packages are not installed there. The suites have them in
/// the build's folder, under this name.
const COPIED_NPM_FOLDER: (&str, &str) = ("componentize-js", "../guest-tools/template/javascript");

/// The Python environments in the build's folder, and the pinned packages of each.
const PYTHONS: [(&str, &str); 9] = [
    (
        "componentize-py",
        "../guest-tools/template/python/requirements.txt",
    ),
    ("schemathesis", "contract/schemathesis/requirements.txt"),
    ("mcp-1.12", "mcp/python/mcp-1.12.txt"),
    ("mcp-1.26", "mcp/python/mcp-1.26.txt"),
    ("mcp-1.30", "mcp/python/mcp-1.30.txt"),
    ("mcp", "mcp/python/requirements.txt"),
    ("openai", "clients/openai/requirements.txt"),
    ("openbao", "kek/openbao-requirements.txt"),
    ("moto", "kek/moto-requirements.txt"),
];

/// Installs what is missing. Returns `false` when system packages are missing and this user cannot
/// install them.
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
    let (name, folder) = COPIED_NPM_FOLDER;
    let copy = test_tools(project)?.join(name);
    copy_npm_lock(&tests.join(folder), &copy)?;
    install_npm_packages(&copy)?;
    for (name, requirements) in PYTHONS {
        install_python_packages(project, name, &tests.join(requirements))?;
    }
    Ok(true)
}

/// Installs what the benches use: PostgreSQL and, if there is a Python, LiteLLM. Benches leave out
/// what is missing.
pub fn install_for_benches(project: &Project) -> Result<()> {
    match answers(POSTGRESQL) {
        false if debian::can_install() => debian::install(&["postgresql"])?,
        false => step::say("There is no PostgreSQL: what is measured on one is left out"),
        true => {}
    }
    if !answers(PYTHON) {
        step::say("There is no python3 with venv: what is compared with LiteLLM is left out");
        return Ok(());
    }
    let requirements = project.tests().join("benches/litellm/requirements.txt");
    install_python_packages(project, "litellm", &requirements)
}

fn answers(probe: &[&str]) -> bool {
    step::answer(Command::new(probe[0]).args(&probe[1..])).is_some()
}

/// Installs the packages of a lock file without changing it.
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

/// Copies the files that `npm ci` reads.
fn copy_npm_lock(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(from.join(file), to.join(file))
            .with_context(|| format!("{file} of {} cannot be copied", from.display()))?;
    }
    Ok(())
}

/// Returns the folder for everything that this task installs, except system packages and files in
/// folders of `tests/`.
fn test_tools(project: &Project) -> Result<PathBuf> {
    Ok(project.target()?.join("test-tools"))
}

/// Makes a Python environment in the build's folder, with its pinned packages.
fn install_python_packages(project: &Project, name: &str, requirements: &Path) -> Result<()> {
    step::say(&format!("Installing the Python packages of {name}"));
    let folder = test_tools(project)?.join(name);
    step::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    step::run(
        // Do not use `bin/pip`: it names the place where it was made, and a build's folder may have
        // been copied.
        Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "install"])
            .args(["--quiet", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(requirements),
    )
}
