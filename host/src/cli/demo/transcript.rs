//! What the demo says, and how many of its checks passed.

use crate::cli::output::print_line;
use tavora_platform::RunReport;

/// The demo's output, kept so that it can be searched for what must not be in it.
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

    /// Tells something that is no check.
    pub(crate) fn say(&mut self, what: &str) {
        self.line(&format!("        {what}"));
    }

    /// Shows a text of several lines.
    pub(crate) fn quote(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("        | {line}"));
        }
    }

    /// One check: what must hold, whether it does, and what was there instead.
    pub(crate) fn check(&mut self, what: &str, holds: bool, instead: &str) {
        if holds {
            self.passed += 1;
            self.line(&format!("  ok    {what}"));
        } else {
            self.failed += 1;
            self.line(&format!("  FAIL  {what}: {instead}"));
        }
    }

    /// Whether anything said so far holds `needle`.
    pub(crate) fn contains(&self, needle: &str) -> bool {
        self.text.contains(needle)
    }

    /// Prints the sum; the number of failed checks.
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

/// The checks count, not whether anybody reads.
fn show(line: &str) {
    if let Err(error) = print_line(line) {
        tracing::warn!(%error, "the transcript cannot be printed");
    }
}

/// A report's outcome on one line.
pub(super) fn shown(report: &RunReport) -> String {
    match &report.outcome {
        Ok(json) => json.get().to_owned(),
        Err(error) => error.to_string(),
    }
}
