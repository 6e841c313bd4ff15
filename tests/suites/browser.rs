//! The page at `/admin` in real Chromium, by keyboard: both widths, both schemes, with and without
//! a script.
//!
//! The checks are in `tests/browser/`. The suite `page` tests requests that no browser sends.

use std::path::{Path, PathBuf};
use std::process::Command;

use tavora_tests::binary::profile_folder;
use tavora_tests::requirement::{answers, are_there, tests_folder};
use tavora_tests::serving::Serving;

/// The path of Debian's package.
const CHROMIUM: &str = "/usr/bin/chromium";

#[test]
fn an_operator_can_do_everything_in_a_browser() {
    let folder = tests_folder().join("browser");
    if !are_there(&[
        ("Node.js", answers("node", &["--version"])),
        ("Chromium", Path::new(CHROMIUM).exists()),
        (
            "the npm packages of tests/browser",
            folder.join("node_modules/playwright-core").exists()
                && folder.join("node_modules/axe-core").exists(),
        ),
    ]) {
        return;
    }
    let pictures = pictures();
    let serving = Serving::start("");
    let without_kek = Serving::start_with("", |command| {
        command.env_remove("TAVORA_SECRET_KEK");
    });
    let walked = Command::new("node")
        .arg("main.mjs")
        .current_dir(&folder)
        .env("PAGE_CHROMIUM", CHROMIUM)
        .env("PAGE_PICTURES", &pictures)
        .env("PAGE_ORIGIN", serving.url())
        .env("PAGE_ADMIN_TOKEN", &serving.admin_token)
        .env("PAGE_ORIGIN_WITHOUT_KEK", without_kek.url())
        .env("PAGE_ADMIN_TOKEN_WITHOUT_KEK", &without_kek.admin_token)
        .output()
        .expect("a Node.js that answers starts");
    let told = String::from_utf8_lossy(&walked.stdout);
    let complained = String::from_utf8_lossy(&walked.stderr);
    println!("{told}");
    assert!(walked.status.success(), "{told}{complained}");
    let walks = told.lines().filter(|line| line.ends_with(", 0 faults"));
    assert_eq!(walks.count(), 6, "{told}");
    let taken = std::fs::read_dir(&pictures).expect("readable").count();
    assert!(taken >= 100, "only {taken} pictures were taken");
    for serving in [serving, without_kek] {
        let log = serving.log();
        assert!(!log.contains("canary-7f3d1c9ab2e84655"), "{log}");
    }
}

/// Makes an empty folder for screenshots.
fn pictures() -> PathBuf {
    let target = profile_folder();
    let target = target.parent().expect("a profile's folder is in another");
    let pictures = target.join("test-artefacts/screenshots");
    // The folder may not exist yet.
    let _ = std::fs::remove_dir_all(&pictures);
    std::fs::create_dir_all(&pictures).expect("the build's folder is writable");
    pictures
}
