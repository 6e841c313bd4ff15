//! The checks that run no code: floors, formatting, clippy's findings, and the project's
//! dependencies. They are part of `cargo xtask test`. A tool that is not installed is reported as
//! skipped.

use crate::project::Project;
use crate::test::Report;
use crate::{floors, step};

/// Adds a row for each check and workspace.
pub fn run(project: &Project, report: &mut Report) {
    step::say("Checking the floors");
    report.step("floors", || floors::check(project));

    // Each check, run in both workspaces of the project.
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
        // Advisories need the network. To check them too, run `cargo deny check`.
        ("deny", &["check", "bans", "licenses", "sources"]),
    ];
    for (tool, arguments) in checks {
        let of_the_guests = format!("{tool} of the guests");
        if step::answer(project.cargo().args([tool, "--version"])).is_none() {
            step::say(&format!("Skipping cargo {tool}: it is not installed"));
            report.skip(tool);
            report.skip(&of_the_guests);
            continue;
        }
        step::say(&format!("Checking with cargo {tool}"));
        report.step(tool, || {
            step::run(project.cargo().arg(tool).args(arguments))
        });
        let folder = project.guest_tools();
        report.step(&of_the_guests, || {
            step::run(
                project
                    .cargo()
                    .current_dir(&folder)
                    .env("CARGO_TARGET_DIR", folder.join("target"))
                    .arg(tool)
                    .args(arguments),
            )
        });
    }
}
