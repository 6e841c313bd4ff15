//! The shipped host with a fault at a system call, injected by strace. The tests decide which
//! fault.

use std::process::Command;

use tavora_tests::requirement;

/// Whether strace is installed and may trace. If not, the test says so.
pub fn is_there() -> bool {
    let answers = requirement::answers("strace", &["-f", "-o", "/dev/null", "true"]);
    requirement::are_there(&[("strace, and the right to trace", answers)])
}

/// Returns the same command under strace. strace runs as its grandchild, so the started process is
/// the host. `fault` happens at calls with this name, only for this file in the data folder if one
/// is named.
///
/// `--seccomp-bpf` would be faster, but strace 6.1 then injects no signal.
pub fn under_strace(command: &Command, call: &str, file: Option<&str>, fault: &str) -> Command {
    let mut traced = Command::new("strace");
    traced
        .args(["-D", "-f", "-qqq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:{fault}"));
    let folder = command.get_current_dir().expect("a host has a folder");
    if let Some(file) = file {
        // The file may not exist yet, so strace cannot resolve a relative path.
        let folder = folder.canonicalize().expect("it is there");
        traced.arg("-P").arg(folder.join("data").join(file));
    }
    traced.arg(command.get_program()).args(command.get_args());
    traced.current_dir(folder).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    traced
}
