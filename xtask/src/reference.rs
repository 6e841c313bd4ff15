//! `cargo xtask reference`: writes the files that are generated from the code. These are the
//! example configuration, the reference of its keys, its JSON Schema, and the reference of the
//! commands.

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::{guests, step};

/// The host's example program that writes the files.
const WRITER: &str = "reference";

/// Builds the host, and runs the example program.
pub fn run(project: &Project) -> Result<()> {
    guests::run(project)?;
    step::say("Building the host");
    step::run(
        project
            .cargo()
            .args(["build", "--release", "--workspace", "--example", WRITER]),
    )?;
    let examples = project.target()?.join("release").join("examples");
    step::say("Writing the reference");
    step::run(Command::new(examples.join(format!("{WRITER}{EXE_SUFFIX}"))).arg(project.root()))
}
