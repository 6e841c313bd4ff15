//! `cargo xtask dev`: builds everything and starts an embedded platform.

use crate::project::Project;
use crate::{guests, step};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Ends with the status of the platform.
pub fn run(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    guests::run(project)?;
    step::say("Building the host");
    let host = project.release_program("tavora-host")?;
    exit_code(Command::new(host).arg("dev").args(arguments))
}

/// Runs a program and returns its exit status.
pub fn exit_code(program: &mut Command) -> Result<ExitCode> {
    let status = step::status(program)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
