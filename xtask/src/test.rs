//! `cargo xtask test`: builds everything and runs every test, those of the guests'
//! pure logic first, and the lints last.

use crate::project::Project;
use crate::{guests, lint, step};
use anyhow::Result;

/// Ten times as many kills, for those who have the time.
const LONG: (&str, &str) = ("TAVORA_TEST_LONG", "10");

/// Fails when a test does. `--long` is for tests that can go on longer; the other arguments go to the `cargo test` of the
/// workspace.
pub fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let (long, arguments): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| *argument == "--long");
    let long = (!long.is_empty()).then_some(LONG);
    guests::run(project)?;

    let folder = project.guest_tools();
    step::say("Testing the guests' logic");
    step::run(
        project
            .cargo()
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .args(["test", "--locked"]),
    )?;

    // The suites run the binary and the examples as a user does.
    step::say("Building the host");
    step::run(
        project
            .cargo()
            .args(["build", "--release", "--workspace", "--bins", "--examples"]),
    )?;

    step::say("Testing the workspace");
    step::run(
        project
            .cargo()
            .args(["test", "--release", "--workspace"])
            .args(arguments)
            .envs(long),
    )?;

    lint::run(project)
}
