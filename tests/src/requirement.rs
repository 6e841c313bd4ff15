//! Requirements of a suite besides Rust. Where one is missing, the test says that it is skipped, or
//! fails where nothing may be skipped. Nothing is installed here; `cargo xtask test-tools` does
//! that.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binary::profile_folder;

/// Set where a skipped test counts as failed, as in continuous integration.
pub const REQUIRE_ALL: &str = "TAVORA_TEST_REQUIRE_ALL";

/// Whether all requirements are met. Each has a name for messages. If one is missing, this reports
/// the test as skipped, and the caller must return.
///
/// # Panics
/// One is missing, and `TAVORA_TEST_REQUIRE_ALL` is set.
pub fn are_there(needed: &[(&str, bool)]) -> bool {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(_, is_there)| !is_there)
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return true;
    }
    let missing = format!(
        "{} missing; `cargo xtask test-tools` installs it",
        missing.join(" and ")
    );
    assert!(std::env::var_os(REQUIRE_ALL).is_none(), "{missing}");
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    // Write to stderr directly: the test runner hides what a passing test prints with `eprintln`.
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {missing}");
    false
}

/// Whether a program starts with these arguments and succeeds.
pub fn answers(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The folder in which `cargo xtask test-tools` installs everything that is no system package, and
/// in which tests keep what they build with it.
pub fn tools_folder() -> PathBuf {
    let target = profile_folder();
    let target = target.parent().expect("a profile's folder is in another");
    target.join("test-tools")
}

/// The folder of this crate.
pub fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
