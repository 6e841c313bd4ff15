//! Announces and runs steps. A step's output goes straight to the terminal, except where the caller
//! reads it as text.

use anyhow::{Context, Result, ensure};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Announces the next step on standard error.
pub fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Runs `command` to its end. Its output goes where this program's output goes.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    ensure!(status.success(), "{} failed ({status})", shown(command));
    Ok(())
}

/// Runs `command` like [`run`], but the caller decides what a failure means.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("{} cannot be started", shown(command)))
}

/// Runs `command` for at most `limit`; `false` when it failed or was ended.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> Result<bool> {
    let mut child = command
        .spawn()
        .with_context(|| format!("{} cannot be started", shown(command)))?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if started.elapsed() >= limit {
            end(&mut child)?;
            say(&format!(
                "{} was ended after {} s",
                shown(command),
                limit.as_secs()
            ));
            return Ok(false);
        }
        sleep(Duration::from_millis(50));
    }
}

/// The standard output of `command`, trimmed. `None` when it cannot be started or fails.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn end(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let started = Instant::now();
        let limit = Duration::from_millis(100);
        assert!(!succeeds_within(Command::new("sleep").arg("30"), limit).expect("starts"));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(succeeds_within(&mut Command::new("true"), limit).expect("starts"));
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(Command::new("false").arg("--now")).expect_err("fails");
        assert!(
            error.to_string().starts_with("false --now failed"),
            "{error}"
        );
        assert_eq!(
            answer(Command::new("echo").arg(" a ")).as_deref(),
            Some("a")
        );
        assert_eq!(answer(&mut Command::new("false")), None);
    }
}
