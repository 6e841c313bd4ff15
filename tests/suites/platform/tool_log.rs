//! The output of a trusted tool goes to the host's log, without the credential and up to a limit.

use tavora_tests::binary::{host, run, run_with_input};
use tavora_tests::fixture::CANARY;

use super::workspace::root;

/// The log after a tool printed `secret`, in two pieces.
fn log_of_a_tool_that_prints(secret: &str, limits: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let text = std::fs::read(root().join("tests/guests/tool-prints-the-secret.wat"));
    let component = wat::parse_bytes(&text.expect("it is there"))
        .expect("valid")
        .into_owned();
    std::fs::write(path.join("printer.wasm"), component).expect("writable");
    let config = format!(
        "{limits}[tools.printer]\ncomponent = \"printer.wasm\"\nreveal = [\"hostile_key\"]\n"
    );
    std::fs::write(path.join("tavora.toml"), config).expect("writable");
    std::fs::create_dir(path.join(".tavora")).expect("new");
    for arguments in [
        &["kek", "generate", "--out", ".tavora/kek"][..],
        &["app", "create", "shop"],
        &["vault", "create", "main"],
        &["vault", "designate", "main"],
    ] {
        let ended = run(path, arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    }
    let file = path.join("secret");
    std::fs::write(&file, secret).expect("writable");
    let put = ["secret", "put", "hostile_key", "--from-file", "secret"];
    let ended = run_with_input(path, &put, b"");
    assert_eq!(ended.status, 0, "{ended:?}");
    let output = host(path)
        .args(["tool", "call", "printer", "act"])
        .env("RUST_LOG", "info")
        .output()
        .expect("the binary starts");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    log
}

#[test]
fn what_a_tool_prints_is_logged_without_the_credential() {
    let log = log_of_a_tool_that_prints(CANARY, "");
    assert!(
        log.contains("before:[redacted:hostile_key] after."),
        "{log}"
    );
    assert!(
        !log.contains("canary-7f") && !log.contains(&CANARY[9..]),
        "{log}"
    );
}

#[test]
fn a_credential_of_several_lines_is_taken_out_of_the_log() {
    let (first, second) = ("first-half-5b1d2c", "second-half-90e7a4");
    let log = log_of_a_tool_that_prints(&format!("{first}\n{second}"), "");
    assert!(
        log.contains("before:[redacted:hostile_key] after."),
        "{log}"
    );
    assert!(!log.contains(first) && !log.contains(second), "{log}");
}

#[test]
fn the_log_of_a_tool_ends_at_its_limit() {
    let limits = "[limits.tool]\nmax_log_bytes = 20\n";
    let log = log_of_a_tool_that_prints(CANARY, limits);
    assert!(log.contains("limits.tool.max_log_bytes was hit"), "{log}");
    assert!(!log.contains("after."), "{log}");
    // The limit fell into the credential, so even its first half is not written.
    assert!(!log.contains(&CANARY[..7]), "{log}");
}
