//! The results of each suite and of all: a table for people, and a last line for programs.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The result of one suite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub suite: String,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub took: Duration,
}

/// The results of all suites so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds the result of a suite.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Does work that passes or fails as a whole, and reports why it failed.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        let started = Instant::now();
        let outcome = work();
        if let Err(error) = &outcome {
            eprintln!("xtask: {error:#}");
        }
        self.add(Row {
            suite: name.to_owned(),
            passed: usize::from(outcome.is_ok()),
            failed: usize::from(outcome.is_err()),
            skipped: 0,
            took: started.elapsed(),
        });
    }

    /// Adds work that was not done.
    pub fn skip(&mut self, name: &str) {
        self.add(Row {
            suite: name.to_owned(),
            skipped: 1,
            ..Row::default()
        });
    }

    /// Failure if anything failed.
    pub fn exit_code(&self) -> ExitCode {
        match self.sum(|row| row.failed) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    fn sum(&self, count: impl Fn(&Row) -> usize) -> usize {
        self.rows.iter().map(count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rows.iter().map(|row| row.suite.chars().count());
        let width = names.chain([5]).max().unwrap_or(0);
        writeln!(
            f,
            "{:<width$}  {:>6}  {:>6}  {:>7}  {:>7}",
            "suite", "passed", "failed", "skipped", "seconds"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<width$}  {:>6}  {:>6}  {:>7}  {:>7.1}",
                row.suite,
                row.passed,
                row.failed,
                row.skipped,
                row.took.as_secs_f64()
            )?;
        }
        write!(
            f,
            "\n{} passed, {} failed, {} skipped",
            self.sum(|row| row.passed),
            self.sum(|row| row.failed),
            self.sum(|row| row.skipped)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_the_sums() {
        let mut report = Report::default();
        report.add(Row {
            suite: "mcp".to_owned(),
            passed: 70,
            failed: 0,
            skipped: 2,
            took: Duration::from_millis(12_345),
        });
        report.step("fmt", || Ok(()));
        report.skip("deny");
        assert_eq!(report.exit_code(), ExitCode::SUCCESS);
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("71 passed, 0 failed, 3 skipped"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "suite  passed  failed  skipped  seconds");
        assert_eq!(lines[1], "mcp        70       0        2     12.3");

        report.step("clippy", || anyhow::bail!("a finding"));
        assert_eq!(report.exit_code(), ExitCode::FAILURE);
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("71 passed, 1 failed, 3 skipped"));
    }
}
