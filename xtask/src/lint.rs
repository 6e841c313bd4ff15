//! The checks that run no code: form, clippy's findings, and what the project depends on. They are part of
//! `cargo xtask test`. A tool that is not installed is skipped, and that is said.

use anyhow::Result;

use crate::project::Project;
use crate::step;

/// Fails at the first check that does not pass.
pub fn run(project: &Project) -> Result<()> {
    // Each check, and where it runs: the project's two workspaces.
    let checks: [(&str, &[&str]); 3] = [
        ("fmt", &["--all", "--check"]),
        (
            "clippy",
            &[
                "--release",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ],
        ),
        // Advisories need the network; whoever has it runs `cargo deny check`.
        ("deny", &["check", "bans", "licenses", "sources"]),
    ];
    for (tool, arguments) in checks {
        if step::answer(project.cargo().args([tool, "--version"])).is_none() {
            step::say(&format!("Skipping cargo {tool}: it is not installed"));
            continue;
        }
        step::say(&format!("Checking with cargo {tool}"));
        step::run(project.cargo().arg(tool).args(arguments))?;
        let folder = project.guest_tools();
        step::run(
            project
                .cargo()
                .current_dir(&folder)
                .env("CARGO_TARGET_DIR", folder.join("target"))
                .arg(tool)
                .args(arguments),
        )?;
    }
    Ok(())
}
