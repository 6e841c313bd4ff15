//! `cargo xtask floors`: an import goes down, never up and never round.
//!
//! `xtask/floors.toml` gives the order of the crates. Between the files of one crate no order is
//! declared, but a circle is a finding. The task reads source text and builds nothing.

mod circles;
mod crates;
mod module;
mod plan;
mod reader;
mod resolve;
mod survey;
mod test_only;
mod tokens;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use self::crates::Crate;
use self::plan::Plan;
use self::survey::Survey;
use crate::project::Project;

/// Prints the circles with their arrows, the figures of each crate, and the findings.
pub fn run(project: &Project) -> Result<ExitCode> {
    let crates = crates::all(project)?;
    let surveys = surveys(project, &crates)?;
    for survey in &surveys {
        for (circle, arrows) in survey.circles.iter().zip(&survey.arrows) {
            println!("{circle}:\n{arrows}");
        }
    }
    print_figures(&crates, &surveys);
    let findings = findings(&crates, &surveys)?;
    println!("\nfindings: {}", findings.len());
    findings.iter().for_each(|finding| println!("{finding}"));
    Ok(match findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Fails with all findings.
pub fn check(project: &Project) -> Result<()> {
    let crates = crates::all(project)?;
    let findings = findings(&crates, &surveys(project, &crates)?)?;
    if !findings.is_empty() {
        bail!(
            "{}\n`cargo xtask floors` shows every arrow of a circle",
            findings.join("\n")
        );
    }
    Ok(())
}

fn surveys(project: &Project, crates: &[Crate]) -> Result<Vec<Survey>> {
    let text = |file: &Path| std::fs::read_to_string(file).ok();
    let surveys = crates
        .iter()
        .map(|it| survey::of(it, project.root(), &text));
    surveys.collect()
}

fn findings(crates: &[Crate], surveys: &[Survey]) -> Result<Vec<String>> {
    let mut findings = Plan::of_the_repository()?.findings(crates);
    findings.extend(surveys.iter().flat_map(|survey| survey.circles.clone()));
    Ok(findings)
}

fn print_figures(crates: &[Crate], surveys: &[Survey]) {
    let width = crates.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let row = |name: &str, figures: [usize; 3]| {
        let [files, circles, in_circles] = figures;
        println!("{name:<width$}  {files:>5}  {circles:>7}  {in_circles:>16}");
    };
    println!(
        "{:<width$}  {:>5}  {:>7}  {:>16}",
        "crate", "files", "circles", "files in circles"
    );
    let mut sum = [0; 3];
    for (it, survey) in crates.iter().zip(surveys) {
        let figures = [
            survey.files.len(),
            survey.circles.len(),
            survey.in_circles.len(),
        ];
        row(&it.name, figures);
        sum.iter_mut().zip(figures).for_each(|(sum, it)| *sum += it);
    }
    row("all", sum);
}
