//! The OpenAPI document against the host that serves it. schemathesis sends every operation input
//! that fits its schema and input that does not, and compares the answers with what is declared.

use std::process::Command;

use tavora_tests::requirement::{are_there, tests_folder, tools_folder};
use tavora_tests::serving::Serving;

#[test]
fn the_openapi_document_says_what_the_host_does() {
    let program = tools_folder().join("schemathesis/bin/schemathesis");
    if !are_there(&[("the Python package schemathesis", program.exists())]) {
        return;
    }
    let serving = Serving::start("[server.auth_failures]\nburst = 1_000_000\n");
    let app = serving.make_app("app");
    let folder = tests_folder().join("contract/schemathesis");
    // schemathesis writes to its working directory.
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", "--no-color"])
        .arg(format!("{}/openapi.json", serving.url()))
        .current_dir(scratch.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", scratch.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FUZZ_FOLDER", &folder)
        .env("FUZZ_API_KEY", &app.key)
        .env("FUZZ_API_KEY_ID", &app.key_id)
        .env("FUZZ_ADMIN_TOKEN", &serving.admin_token)
        .output()
        .expect("a program that is there starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let number = |label: &str| -> u32 {
        let (_, rest) = printed
            .split_once(label)
            .unwrap_or_else(|| panic!("no {label:?} in {printed}"));
        let digits = rest
            .trim_start()
            .split(|c: char| !c.is_ascii_digit())
            .next();
        digits
            .and_then(|digits| digits.parse().ok())
            .expect("a number")
    };
    let (selected, tested) = (number("Selected:"), number("Tested:"));
    assert!(
        tested == selected && tested >= 29,
        "{tested} of {selected} operations were tested: {printed}"
    );
    // An answer can be right although something went wrong behind it.
    let log = serving.log();
    let errors: Vec<_> = log
        .lines()
        .filter(|line| line.contains(" ERROR "))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
