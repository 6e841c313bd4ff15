//! `cargo xtask demo`: builds everything and shows it, end to end.

use crate::project::Project;
use crate::{dev, guests, step};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Ends with the status of the demonstration.
pub fn run(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    guests::run(project)?;
    step::say("Building the host");
    let host = project.release_program("tavora-host")?;
    dev::exit_code(Command::new(host).arg("demo").args(arguments))
}
