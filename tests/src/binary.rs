//! The host's binary, as a user runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The path of an executable that the build put beside the tests: `tavora-host`, or
/// `examples/embed`.
pub fn built(name: &str) -> PathBuf {
    let path = profile_folder().join(name);
    assert!(
        path.exists(),
        "{} is not built; run the tests by `cargo xtask test`",
        path.display()
    );
    path
}

/// The folder of this build's profile.
pub fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2);
    folder.expect("tests are in PROFILE/deps").to_owned()
}

/// `tavora-host` on the data in `folder`, with only PATH from the caller's environment.
pub fn host(folder: &Path) -> Command {
    let mut command = Command::new(built("tavora-host"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

/// The output and the status of a command.
#[derive(Debug)]
pub struct Ended {
    /// The exit status.
    pub status: i32,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

/// Runs `tavora-host` with these arguments.
pub fn run(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = host(folder);
    command.args(arguments);
    end(command)
}

/// Runs a command to its end.
pub fn end(mut command: Command) -> Ended {
    ended(command.output().expect("the binary starts"))
}

/// Runs `tavora-host` with these arguments and `input` on stdin.
pub fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = host(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that refuses its arguments does not read stdin. That is no failure of the test.
    let _ = stdin.write_all(input);
    drop(stdin);
    ended(child.wait_with_output().expect("it ends"))
}

fn ended(output: Output) -> Ended {
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
