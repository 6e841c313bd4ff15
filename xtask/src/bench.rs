//! `cargo xtask bench`: builds everything, measures it, and prints one table with the machine, the
//! commit and the method. It decides nothing: a missed budget is shown as missed.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::project::Project;
use crate::{guests, step, test_tools};

/// The benches. Each prints one JSON object a line.
const BENCHES: [&str; 6] = ["vault", "fleet", "runtime", "http", "tools", "chat"];

/// Passes `arguments` on to the benches: `--quick` measures for a shorter time, `--long` fills the
/// large database.
pub fn run(project: &Project, arguments: &[String]) -> Result<()> {
    guests::run(project)?;
    test_tools::install_for_benches(project)?;
    // The last benches start this program as a user does.
    project.release_program("tavora-host")?;
    let mut rows = Vec::new();
    for bench in BENCHES {
        step::say(&format!("Measuring {bench}"));
        let output = project
            .cargo()
            .args(["bench", "--workspace", "--bench", bench, "--"])
            .args(arguments)
            .stderr(std::process::Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "the bench {bench} failed");
        for line in String::from_utf8(output.stdout)?.lines() {
            if line.starts_with('{') {
                rows.push(Row::parse(line)?);
            }
        }
    }
    print(&rows);
    Ok(())
}

struct Row {
    name: String,
    value: String,
    budget: String,
    verdict: &'static str,
}

impl Row {
    fn parse(line: &str) -> Result<Self> {
        let row: Value = serde_json::from_str(line)?;
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let value = row["value"].as_f64().context("a row has a value")?;
        Ok(Self {
            name: text("name"),
            value: format!("{} {}", rounded(value), text("unit")),
            budget: text("budget"),
            verdict: match row["met"].as_bool() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            },
        })
    }
}

/// Rounds to three significant digits. Further digits differ from run to run.
fn rounded(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 2 - value.abs().max(1e-9).log10().floor().min(2.0) as i32;
    format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
}

fn print(rows: &[Row]) {
    println!("\nmachine  {}", machine());
    println!("commit   {}", commit());
    println!(
        "method   release build; p50 over a fixed window each; ratios are of numbers from this run\n"
    );
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    for row in rows {
        let line = format!(
            "{:<width$}  {:>14}  {:>9}  {}",
            row.name, row.value, row.budget, row.verdict
        );
        println!("{}", line.trim_end());
    }
    let missed = rows.iter().filter(|row| row.verdict == "MISSED").count();
    let budgets = rows.iter().filter(|row| !row.budget.is_empty()).count();
    println!("\n{} of {budgets} budgets met", budgets - missed);
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(": ")?.1.to_owned())
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores",
        model.as_deref().unwrap_or("unknown processor")
    )
}

fn commit() -> String {
    let git = |arguments: &[&str]| step::answer(Command::new("git").args(arguments));
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    match git(&["status", "--porcelain"]) {
        Some(changes) if !changes.is_empty() => format!("{commit} with changes"),
        _ => commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_budget_is_met() {
        let row = Row::parse(
            r#"{"name": "a", "value": 1234.5, "unit": "ns", "budget": "≤ 2", "met": false}"#,
        )
        .expect("valid");
        assert_eq!((row.value.as_str(), row.verdict), ("1234 ns", "MISSED"));
        let row = Row::parse(r#"{"name": "a", "value": 1.2345, "unit": "×"}"#).expect("valid");
        assert_eq!((row.value.as_str(), row.verdict), ("1.23 ×", ""));
        let row = Row::parse(r#"{"name": "a", "value": 0, "unit": "MB"}"#).expect("valid");
        assert_eq!(row.value, "0 MB");
        assert!(Row::parse(r#"{"name": "a"}"#).is_err());
    }
}
