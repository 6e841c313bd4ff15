//! The host as it is shipped, with a fault at a system call: strace injects it. What is done with that is up to the tests.

use std::process::Command;

use tavora_tests::requirement;

/// Whether it is here and may trace; says so if it is not.
pub fn is_there() -> bool {
    let answers = requirement::answers("strace", &["-f", "-o", "/dev/null", "true"]);
    requirement::are_there(&[("strace, and the right to trace", answers)])
}

/// The same command under strace, which is its grandchild: the process that is started is the host. `fault` comes at calls
/// with this name, of this file in the data folder if one is named.
///
/// With `--seccomp-bpf` it would be faster, and strace 6.1 injects no signal then.
pub fn under_strace(command: &Command, call: &str, file: Option<&str>, fault: &str) -> Command {
    let mut traced = Command::new("strace");
    traced
        .args(["-D", "-f", "-qqq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:{fault}"));
    let folder = command.get_current_dir().expect("a host has a folder");
    if let Some(file) = file {
        // The file need not be there yet, so strace cannot find out where a relative path leads.
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
