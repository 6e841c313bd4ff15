//! The two things that a newcomer runs first: `tavora-host demo`, and the example that embeds the
//! library.

use std::process::Command;

use tavora_tests::binary::{built, run};
use tavora_tests::fixture::CANARY;
use tavora_tests::upstream::{Upstream, search_results};

#[test]
fn the_demo_passes_every_check() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = run(folder.path(), &["demo"]);
    assert_eq!(demo.status, 0, "{demo:?}");
    let sum = demo.stdout.lines().last().expect("it prints something");
    assert!(sum.ends_with(" passed, 0 failed"), "{sum}");
    let passed: usize = sum
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    assert!(passed >= 40, "only {passed} checks ran");
    for shown in [
        "search('europe by train'",
        "ai('Name a trip",
        "require('tasklist')",
        "require('tracker')",
        "[tools.tracker.http]",
        "secret.released  TASKLIST_BEARER  to mcp:tasklist",
        "secret.released  tracker_token    to tracker",
    ] {
        assert!(demo.stdout.contains(shown), "{shown}: {}", demo.stdout);
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "the demo left files behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_embeds_the_host() {
    let upstream = Upstream::start(|_| search_results(&["embedded"])).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let toml = format!(
        "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n",
        upstream.url()
    );
    std::fs::write(folder.path().join("tavora.toml"), toml).expect("writable");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(built("examples/embed"))
            .arg("rust")
            .current_dir(folder.path())
            .env("BRAVE_API_KEY", CANARY)
            .output()
            .expect("the example starts")
    })
    .await
    .expect("no panic");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.starts_with("[\"embedded\"]\n1 call(s)"), "{text}");
    assert_eq!(upstream.seen()[0].headers["x-subscription-token"], CANARY);
}
