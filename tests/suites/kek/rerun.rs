//! A test that runs itself again, in a process with an environment of its own. Some libraries read
//! their settings there.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use tavora_tests::requirement;

/// Set in the second process.
const INSIDE: &str = "TAVORA_TEST_INSIDE";

/// Whether this is the second process, in which the test does its work.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the test of this name in a process with these variables, and without the others that a test
/// could meet.
#[track_caller]
pub fn inside<V: AsRef<OsStr>>(test: &str, variables: &[(&str, V)]) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env(INSIDE, "1")
        // The second process reports itself that it is skipped, or how it failed.
        .stderr(Stdio::inherit());
    if let Some(value) = std::env::var_os(requirement::REQUIRE_ALL) {
        again.env(requirement::REQUIRE_ALL, value);
    }
    for (name, value) in variables {
        again.env(name, value);
    }
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
