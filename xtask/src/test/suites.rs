//! `cargo test` with its output observed. The output goes to the terminal as it comes, and the
//! lines that open and close each suite are counted.
//!
//! The lines are those of cargo (`Running …`, `Doc-tests …`), of Rust's test runner (`test result:
//! …`), and of tests that are skipped (`SKIPPED …`, in tests/src/requirement.rs).

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::report::{Report, Row};

/// Limits the wait for more output of a program that has ended. A process that a test left running
/// may hold the output open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs a `cargo test` to its end, with `prefix` before the name of each suite. Returns whether any
/// suite ran.
pub fn run(command: &mut Command, prefix: &str, report: &mut Report) -> Result<bool> {
    run_on(&mut std::io::stdout().lock(), command, prefix, report)
}

fn run_on(
    terminal: &mut impl Write,
    command: &mut Command,
    prefix: &str,
    report: &mut Report,
) -> Result<bool> {
    let started = Instant::now();
    // Use one pipe for both, so that the lines keep their order.
    let (output, input) = std::io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn().context("cargo cannot be started")?;
    // Otherwise the command keeps its ends of the pipe open.
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());

    let mut listener = Listener::new(prefix);
    let lines = lines_of(output);
    let mut ended = None;
    loop {
        match lines.recv_timeout(LAST_WORDS) {
            Ok(line) => {
                terminal.write_all(&line)?;
                terminal.flush()?;
                listener.hear(&String::from_utf8_lossy(&line), Instant::now());
            }
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    let rows = listener.end(Instant::now());
    let has_run = !rows.is_empty();
    let is_explained = rows.iter().any(|row| row.failed > 0);
    rows.into_iter().for_each(|row| report.add(row));
    if !status.success() && !is_explained {
        let arguments = command.get_args().map(|it| it.to_string_lossy());
        report.add(Row {
            suite: format!("{prefix}cargo {}", arguments.collect::<Vec<_>>().join(" ")),
            failed: 1,
            took: started.elapsed(),
            ..Row::default()
        });
    }
    Ok(has_run)
}

fn lines_of(output: PipeReader) -> mpsc::Receiver<Vec<u8>> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            match output.read_until(b'\n', &mut line) {
                Ok(1..) if sender.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    lines
}

/// Counts the lines of suites.
struct Listener {
    prefix: String,
    rows: Vec<Row>,
    open: Option<Open>,
}

/// A suite that is running.
struct Open {
    name: String,
    since: Instant,
    /// Passed, failed and ignored, from the runner's last result line.
    result: Option<[usize; 3]>,
    /// The number of tests that passed because they had nothing to do.
    skipped: usize,
}

impl Listener {
    fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            rows: Vec::new(),
            open: None,
        }
    }

    fn hear(&mut self, line: &str, now: Instant) {
        let line = without_colours(line);
        if let Some(name) = opened(&line) {
            self.close(now);
            self.open = Some(Open {
                name: format!("{}{name}", self.prefix),
                since: now,
                result: None,
                skipped: 0,
            });
        } else if let Some(open) = &mut self.open {
            // A failed test's output comes before the runner's own lines, so the last line counts.
            open.result = result(&line).or(open.result);
            open.skipped += usize::from(is_skip(&line));
        }
    }

    fn close(&mut self, now: Instant) {
        let Some(open) = self.open.take() else {
            return;
        };
        // A suite that ended without a result has failed.
        let [passed, failed, ignored] = open.result.unwrap_or([0, 1, 0]);
        let row = Row {
            suite: open.name,
            passed: passed.saturating_sub(open.skipped),
            failed,
            skipped: ignored + open.skipped,
            took: now - open.since,
        };
        if row.passed + row.failed + row.skipped > 0 {
            self.rows.push(row);
        }
    }

    fn end(mut self, now: Instant) -> Vec<Row> {
        self.close(now);
        self.rows
    }
}

/// The name of the suite that a line of cargo's opens: a program of tests, or the tests in a
/// crate's documentation.
fn opened(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("doc tests of {}", name.replace('_', "-")));
    }
    let (source, program) = line
        .strip_prefix("Running ")?
        .strip_suffix(')')?
        .split_once(" (")?;
    let (_, program) = program.rsplit_once(['/', '\\'])?;
    let (name, _) = program.rsplit_once('-')?;
    let name = name.replace('_', "-");
    Some(match source.strip_prefix("unittests ") {
        None | Some("src/lib.rs") => name,
        Some(source) => format!("{name} {source}"),
    })
}

/// Passed, failed and ignored of `test result: ok. 1 passed; 2 failed; 3 ignored; …`.
fn result(line: &str) -> Option<[usize; 3]> {
    let (_, counts) = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    let count = |word: &str| {
        let mut parts = counts.split("; ");
        parts.find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
    };
    Some([count("passed")?, count("failed")?, count("ignored")?])
}

/// Whether a test says that it is skipped. The words may follow `test NAME ... `.
fn is_skip(line: &str) -> bool {
    let words = line.rsplit_once(" ... ").map_or(line, |(_, words)| words);
    words.starts_with("SKIPPED ") && words.contains(": ")
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after
            .split_once(|sign: char| sign.is_ascii_alphabetic())
            .map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling a v0.1.0
    Finished `release` profile [optimized] target(s) in 1.0s
     Running unittests src/lib.rs (target/release/deps/vault_core-0123456789abcdef)

running 3 tests
test a ... ok
test b ... ignored
SKIPPED c: postgres missing; `cargo xtask test-tools` installs it
test c ... ok

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running unittests src/main.rs (target/release/deps/empty-0123456789abcdef)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

\u{1b}[1m\u{1b}[32m     Running\u{1b}[0m tests/suites/mcp/main.rs (/elsewhere/deps/mcp-0123456789abcdef)

running 2 tests
test d ... SKIPPED d: node missing; `cargo xtask test-tools` installs it
ok
test e ... FAILED

---- e stdout ----
test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.02s

error: test failed, to rerun pass `-p tavora-tests --test mcp`
     Running tests/suites/kek/main.rs (target/release/deps/kek-0123456789abcdef)

running 1 test
error: test failed, to rerun pass `-p tavora-tests --test kek`

Caused by:
  process didn't exit successfully: `kek-0123456789abcdef` (signal: 6, SIGABRT: process abort signal)
   Doc-tests vault_core

running 1 test
test src/lib.rs - (line 1) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.30s
";

    #[test]
    fn each_suite_is_counted_whatever_came_of_it() {
        let mut listener = Listener::new("");
        let now = Instant::now();
        for line in OUTPUT.lines() {
            listener.hear(line, now);
        }
        let rows = listener.end(now);
        let counted: Vec<_> = rows
            .iter()
            .map(|row| (row.suite.as_str(), row.passed, row.failed, row.skipped))
            .collect();
        assert_eq!(
            counted,
            [
                ("vault-core", 1, 0, 2),
                ("mcp", 0, 1, 1),
                ("kek", 0, 1, 0),
                ("doc tests of vault-core", 1, 0, 0),
            ]
        );
    }

    fn heard(script: &str) -> (bool, Report) {
        let mut report = Report::default();
        let mut shell = Command::new("sh");
        // On the terminal, these lines would count as results of this crate's own tests.
        let terminal = &mut std::io::sink();
        let has_run = run_on(terminal, shell.args(["-c", script]), "", &mut report);
        (has_run.expect("it starts"), report)
    }

    #[test]
    fn what_fails_before_any_suite_is_a_failure_with_a_name() {
        let (has_run, report) = heard("echo 'error: could not compile'; exit 101");
        assert!(!has_run);
        assert!(
            report
                .to_string()
                .ends_with("0 passed, 1 failed, 0 skipped")
        );
    }

    #[test]
    fn a_program_that_a_test_left_running_is_not_waited_for() {
        let (has_run, report) = heard(
            "echo '     Running unittests src/lib.rs (deps/a-1)' >&2; sleep 600 & \
             echo \"     Running left behind (deps/$!-1)\"; \
             echo 'test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured'",
        );
        assert!(has_run);
        let text = report.to_string();
        assert!(text.ends_with("3 passed, 1 failed, 0 skipped"), "{text}");
        // The second suite's name is the id of the process that is still running.
        let row = text.lines().nth(2).unwrap_or_default();
        let process = row.split_whitespace().next().unwrap_or_default();
        let kill = Command::new("kill").arg(process).status();
        assert!(kill.expect("it starts").success(), "{text}");
    }
}
