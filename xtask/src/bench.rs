//! `cargo xtask bench`: builds everything and measures it.

use crate::project::Project;
use crate::{guests, step};
use anyhow::Result;

/// `arguments` go to `cargo bench`.
pub fn run(project: &Project, arguments: &[String]) -> Result<()> {
    guests::run(project)?;
    step::say("Measuring");
    step::run(
        project
            .cargo()
            .args(["bench", "--workspace"])
            .args(arguments),
    )
}
