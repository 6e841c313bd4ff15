//! `cargo xtask test`: builds everything and runs every test. Tests of the guests' pure logic come
//! first, the lints last. A failure does not hide later ones: everything is run, and a table at the
//! end shows each result.

mod report;
mod suites;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

pub use self::report::Report;
use crate::project::Project;
use crate::{guests, lint, step};

/// Ten times as many kills, for a long run.
const LONG: (&str, &str) = ("TAVORA_TEST_LONG", "10");

/// The option that cargo always gets.
const NO_FAIL_FAST: &str = "--no-fail-fast";

/// Fails when a test, a lint or a build fails. `--long` extends tests that can run longer. Other
/// arguments go to the `cargo test` of the workspace, and then only that runs.
pub fn run(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    let (own, arguments): (Vec<&String>, Vec<&String>) = arguments
        .iter()
        .partition(|argument| ["--long", NO_FAIL_FAST].contains(&argument.as_str()));
    let is_long = own.iter().any(|argument| *argument == "--long");
    let is_whole = arguments.is_empty();
    let mut report = Report::default();

    report.step("build of the guests", || guests::run(project));
    if is_whole {
        step::say("Testing the guests' logic");
        let folder = project.guest_tools();
        let mut test = project.cargo();
        test.current_dir(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .args(["test", "--locked", NO_FAIL_FAST]);
        suites::run(&mut test, "guest ", &mut report)?;
    }

    // The suites run the binary and the examples as a user does.
    step::say("Building the host");
    report.step("build of the host", || {
        step::run(project.cargo().args([
            "build",
            "--release",
            "--workspace",
            "--bins",
            "--examples",
        ]))
    });

    step::say("Testing the workspace");
    let test = |selection: &[&str]| {
        let mut test = project.cargo();
        test.args(["test", "--release", NO_FAIL_FAST])
            .args(selection)
            .args(&arguments)
            .envs(is_long.then_some(LONG));
        test
    };
    let has_run = suites::run(&mut test(&["--workspace"]), "", &mut report)?;
    if is_whole && !has_run {
        step::say("Testing what does compile");
        for target in targets(project)? {
            let selection: Vec<&str> = target.iter().map(String::as_str).collect();
            suites::run(&mut test(&selection), "", &mut report)?;
        }
    }

    if is_whole {
        lint::run(project, &mut report);
    }
    println!("\n{report}");
    Ok(report.exit_code())
}

/// The targets of the workspace that have tests, as cargo selects them.
fn targets(project: &Project) -> Result<Vec<Vec<String>>> {
    let mut metadata: Command = project.cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = step::answer(&mut metadata).context("cargo does not tell its targets")?;
    Ok(targets_in(&serde_json::from_str(&metadata)?))
}

fn targets_in(metadata: &Value) -> Vec<Vec<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut targets = Vec::new();
    for package in list(&metadata["packages"]) {
        for target in list(&package["targets"]) {
            let selection = match target["kind"][0].as_str() {
                Some("lib") => vec!["--lib".to_owned()],
                Some("bin") => vec!["--bin".to_owned(), text(&target["name"])],
                Some("test") => vec!["--test".to_owned(), text(&target["name"])],
                _ => continue,
            };
            if target["test"] != false {
                let package = ["--package".to_owned(), text(&package["name"])];
                targets.push(package.into_iter().chain(selection).collect());
            }
            if target["doctest"] == true {
                targets.push(vec![
                    "--package".to_owned(),
                    text(&package["name"]),
                    "--doc".to_owned(),
                ]);
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_with_tests_is_selected() {
        let metadata = serde_json::json!({ "packages": [{ "name": "a", "targets": [
            { "kind": ["lib"], "name": "a", "test": true, "doctest": true },
            { "kind": ["bin"], "name": "b", "test": false, "doctest": false },
            { "kind": ["test"], "name": "c", "test": true, "doctest": false },
            { "kind": ["bench"], "name": "d", "test": false, "doctest": false },
        ] }] });
        let selected: Vec<String> = targets_in(&metadata)
            .iter()
            .map(|it| it.join(" "))
            .collect();
        assert_eq!(
            selected,
            [
                "--package a --lib",
                "--package a --doc",
                "--package a --test c"
            ]
        );
    }

    #[test]
    fn the_workspace_has_the_targets_that_are_tested() {
        let targets = targets(&Project::here()).expect("cargo tells them");
        for name in ["--test mcp", "--package vault-core --lib", "--bin xtask"] {
            assert!(
                targets.iter().any(|it| it.join(" ").contains(name)),
                "{name}"
            );
        }
    }
}
