//! A planted credential is searched for wherever it must not be: files, logs at the most verbose
//! level, outputs.

use tavora_tests::binary::{Ended, host, run, run_with_input};
use tavora_tests::collector::Collector;
use tavora_tests::fixture::CANARY;
use tavora_tests::upstream::{Upstream, search_results};

fn forms() -> [String; 3] {
    use base64::Engine;
    [
        CANARY.to_owned(),
        hex::encode(CANARY),
        base64::prelude::BASE64_STANDARD_NO_PAD.encode(CANARY)[..CANARY.len()].to_owned(),
    ]
}

pub(super) fn assert_absent(place: &str, bytes: &[u8]) {
    for form in forms() {
        let found = bytes
            .windows(form.len())
            .any(|window| window == form.as_bytes());
        assert!(!found, "the credential is in {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_in_no_file_no_log_and_no_output() {
    let upstream = Upstream::start(|_| search_results(&[&format!("echo {CANARY}")])).await;
    let url = upstream.url().to_owned();
    let collector = Collector::start().await;
    let collector_url = collector.url().to_owned();
    tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        std::fs::create_dir(path.join(".tavora")).expect("new");
        let toml = format!("[egress]\nallow_private_origins = [{url:?}]\n[tools.brave-search.config]\nbase_url = {url:?}\n");
        std::fs::write(path.join("tavora.toml"), toml).expect("writable");
        let mut outputs: Vec<(String, Ended)> = Vec::new();
        let mut keep = |arguments: &[&str], ended: Ended| {
            assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
            outputs.push((arguments.join(" "), ended));
        };
        for arguments in [
            &["kek", "generate", "--out", ".tavora/kek"][..],
            &["app", "create", "shop"],
            &["vault", "create", "main"],
            &["vault", "designate", "main"],
        ] {
            keep(arguments, run(path, arguments));
        }
        // Twice, so that there is also an overwritten row.
        for _ in 0..2 {
            let put = ["secret", "put", "brave_api_key"];
            keep(&put, run_with_input(path, &put, CANARY.as_bytes()));
        }
        let talkative = ["run", "-e", "console.log(JSON.stringify(search('x'))); return search('y')"];
        let output = host(path)
            .args(talkative)
            .env("RUST_LOG", "trace")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url)
            .output()
            .expect("the binary starts");
        let ended = Ended {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(ended.stdout.contains("[redacted:brave_api_key]"), "{ended:?}");
        assert!(ended.stderr.contains(" DEBUG "), "the log is not verbose: {ended:?}");
        keep(&talkative, ended);
        for arguments in [&["audit", "tail", "-n", "1000", "--json"][..], &["secret", "list", "--json"], &["kek", "status"], &["tool", "list", "--json"]] {
            keep(arguments, run(path, arguments));
        }
        for (arguments, ended) in &outputs {
            assert_absent(&format!("stdout of {arguments}"), ended.stdout.as_bytes());
            assert_absent(&format!("stderr of {arguments}"), ended.stderr.as_bytes());
        }
        let mut files = vec![path.join(".tavora")];
        let mut searched = 0;
        while let Some(file) = files.pop() {
            if file.is_dir() {
                files.extend(std::fs::read_dir(&file).expect("readable").map(|entry| entry.expect("readable").path()));
            } else {
                assert_absent(&file.display().to_string(), &std::fs::read(&file).expect("readable"));
                searched += 1;
            }
        }
        assert!(searched > 2, "only {searched} files were there to search");
    })
    .await
    .expect("no panic");
    assert!(collector.spans().len() > 4, "{:?}", collector.spans());
    for batch in collector.batches() {
        assert_absent("the exported spans", &batch.body);
    }
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(upstream.seen()[0].headers["x-subscription-token"], CANARY);
}
