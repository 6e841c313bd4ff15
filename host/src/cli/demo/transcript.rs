//! The demo's output, with a count of passed and failed checks.

use crate::cli::output::print_line;
use tavora_platform::RunReport;

/// The output so far. It is kept, so that it can be searched for credentials.
#[derive(Default)]
pub(crate) struct Transcript {
    text: String,
    passed: usize,
    failed: usize,
}

impl Transcript {
    /// Begins a scene.
    pub(crate) fn scene(&mut self, title: &str) {
        self.line(&format!("\n{title}"));
    }

    /// Prints a text that is not a check.
    pub(crate) fn say(&mut self, what: &str) {
        self.line(&format!("        {what}"));
    }

    /// Prints a text of several lines.
    pub(crate) fn quote(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("        | {line}"));
        }
    }

    /// Prints the result of a check. `instead` says what was found if the check failed.
    pub(crate) fn check(&mut self, what: &str, holds: bool, instead: &str) {
        if holds {
            self.passed += 1;
            self.line(&format!("  ok    {what}"));
        } else {
            self.failed += 1;
            self.line(&format!("  FAIL  {what}: {instead}"));
        }
    }

    /// Whether the output so far contains `needle`.
    pub(crate) fn contains(&self, needle: &str) -> bool {
        self.text.contains(needle)
    }

    /// Prints the totals. Returns the number of failed checks.
    pub(crate) fn close(&self) -> usize {
        show(&format!("\n{} passed, {} failed", self.passed, self.failed));
        self.failed
    }

    fn line(&mut self, line: &str) {
        show(line);
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// Prints a line. Errors are ignored: the checks count, even if nobody reads the output.
fn show(line: &str) {
    if let Err(error) = print_line(line) {
        tracing::warn!(%error, "the transcript cannot be printed");
    }
}

/// Returns a report's outcome on one line.
pub(super) fn shown(report: &RunReport) -> String {
    match &report.outcome {
        Ok(json) => json.get().to_owned(),
        Err(error) => error.to_string(),
    }
}
