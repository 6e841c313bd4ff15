//! A provider, or something in its place, that lies, answers garbage, or repeats the request.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};
use tavora_tests::eventually::{until, wait_until};
use tempfile::TempDir;
use vault_core::{Dek, KekTrouble, Keyring, ReleaseError, VaultError};

use crate::fixture::{Platform, expect, keyring, release, works};
use crate::openbao::{OpenBao, ROOT_TOKEN};
use crate::proxy::{Proxy, answer};
use crate::transit::table;

const LIMITS: &str = "
    [kek.limits]
    request_timeout_ms = 3_000
    max_retries = 2
    retry_backoff_ms = 10
    pause_after_failure_ms = 0
    dek_lifetime_ms = 60_000
";

fn transit(proxy: &Proxy, folder: &TempDir) -> Keyring {
    limited(proxy, folder, LIMITS)
}

fn limited(proxy: &Proxy, folder: &TempDir, limits: &str) -> Keyring {
    let (url, token) = (proxy.url(), ROOT_TOKEN);
    let table = table("main", url, folder.path(), token, "key = \"tavora\"");
    let config = ["[kek]\nprovider = \"transit\"\n", limits, &table];
    keyring(&config.concat(), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dek_that_is_not_the_rows_opens_nothing_and_is_not_remembered() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let platform = Platform::new(transit(&proxy, &folder)).await;
    platform.put("A", "v").await.unwrap();
    let cold = platform.reopened(transit(&proxy, &folder)).await;

    proxy.answer(|seen, pass| match seen.uri.path().contains("decrypt") {
        true => {
            let another = STANDARD.encode(Dek::make().expose());
            answer(200, json!({ "data": { "plaintext": another } }).to_string())
        }
        false => pass(),
    });
    let refused = release(&cold, &platform.app, "A").await.unwrap_err();
    let ReleaseError::Unavailable { cause } = &refused else {
        panic!("{refused:?}")
    };
    let cause = std::error::Error::source(cause).unwrap().to_string();
    assert!(cause.contains("does not commit to its DEK"), "{cause}");
    proxy.behave();
    assert_eq!(release(&cold, &platform.app, "A").await.unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_unwrap_to_the_same_dek_is_never_stored() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let platform = Platform::new(transit(&proxy, &folder)).await;
    platform.put("A", "v").await.unwrap();

    // The answer wraps another DEK than the given one.
    let instead = |body: &[u8]| {
        let mut request: Value = serde_json::from_slice(body).unwrap();
        request["plaintext"] = STANDARD.encode(Dek::make().expose()).into();
        request
    };
    let path = "/v1/transit/encrypt/tavora";
    let root = Arc::new(bao);
    let server = Arc::clone(&root);
    proxy.answer(move |seen, pass| match seen.uri.path() == path {
        true => server.post(path, &instead(&seen.body)),
        false => pass(),
    });
    let refused = platform.put("A", "lost").await.unwrap_err();
    garbled(&refused);

    // The provider repeats its first answers for ever. They even fit each other.
    let known: Mutex<Vec<(String, Vec<u8>)>> = Mutex::default();
    proxy.answer(move |seen, pass| {
        let mut known = known.lock().unwrap();
        let path = seen.uri.path().to_owned();
        if let Some((_, body)) = known.iter().find(|(known, _)| *known == path) {
            return answer(200, body.clone());
        }
        let passed = pass();
        known.push((path, passed.body.clone()));
        passed
    });
    platform.put("B", "w").await.unwrap();
    let refused = platform.put("A", "lost").await.unwrap_err();
    garbled(&refused);

    proxy.behave();
    assert_eq!(platform.release("A").await.unwrap(), "v");
    assert_eq!(platform.release("B").await.unwrap(), "w");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_said_to_be_garbage() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let keyring = transit(&proxy, &folder);
    let data = |data: Value| json!({ "data": data }).to_string();
    for garbage in [
        String::new(),
        "<html>a portal's sign-in page</html>".to_owned(),
        "{}".to_owned(),
        data(json!({})),
        data(json!({ "ciphertext": "" })),
        data(json!({ "ciphertext": "vault:v2:AAAA" })),
        data(json!({ "ciphertext": "vault:v1:?" })),
        data(json!({ "ciphertext": format!("vault:v1:{}", "A".repeat(8_000)) })),
        " ".repeat(1 << 20),
    ] {
        proxy.answer(move |_, _| answer(200, garbage.clone()));
        expect(&keyring, works(&keyring).await, KekTrouble::Garbled);
    }
    proxy.behave();
    let dek = Dek::make();
    let wrapped = keyring.primary().wrap(&dek, b"other place").await.unwrap();
    let cold = transit(&proxy, &folder);
    for plaintext in [
        "",
        "?",
        "AAAA",
        &STANDARD.encode([1; 31]),
        &STANDARD.encode([1; 33]),
    ] {
        let body = data(json!({ "plaintext": plaintext }));
        proxy.answer(move |_, _| answer(200, body.clone()));
        let error = cold.primary().unwrap(&wrapped, b"other place").await;
        expect(&cold, error.map(drop), KekTrouble::Garbled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let keyring = transit(&proxy, &folder);
    let failures = AtomicU32::new(0);
    proxy.answer(
        move |_, pass| match failures.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => answer(503, r#"{"errors": ["Vault is sealed"]}"#),
            _ => pass(),
        },
    );
    works(&keyring).await.unwrap();
    // Two attempts failed and one succeeded. The wrapped DEK was unwrapped once.
    assert_eq!(
        (proxy.requests("encrypt"), proxy.requests("decrypt")),
        (3, 1)
    );

    for (status, trouble, attempts) in [
        (429, KekTrouble::Busy, 3),
        (500, KekTrouble::Busy, 3),
        (307, KekTrouble::Busy, 3),
        (403, KekTrouble::Denied, 1),
        (404, KekTrouble::Missing, 1),
        (418, KekTrouble::Refused, 1),
    ] {
        proxy.answer(move |_, _| answer(status, "{}"));
        let before = proxy.requests("encrypt");
        expect(&keyring, works(&keyring).await, trouble);
        assert_eq!(proxy.requests("encrypt") - before, attempts, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_an_unusual_wrapping_is_read_or_named() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let keyring = transit(&proxy, &folder);
    // Some proxies write a byte order mark before the body.
    proxy.answer(|_, pass| {
        let mut passed = pass();
        passed.body.splice(..0, "\u{feff}".bytes());
        passed
    });
    works(&keyring).await.unwrap();

    let packed = |headers: &[(&str, &str)], status| {
        let mut packed = answer(status, *b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0");
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        packed.headers = headers.iter().map(owned).collect();
        packed
    };
    for (headers, status) in [
        (&[("content-encoding", "gzip")][..], 200),
        (&[("content-encoding", "br")][..], 200),
        (&[("content-encoding", "gzip")][..], 400),
        (&[][..], 200),
    ] {
        let packed = packed(headers, status);
        proxy.answer(move |_, _| packed.clone());
        expect(&keyring, works(&keyring).await, KekTrouble::Compressed);
    }

    // The name of a coding does no harm to a body that can be read.
    proxy.answer(|_, pass| {
        let mut passed = pass();
        let header = ("content-encoding".to_owned(), "utf-8".to_owned());
        passed.headers = vec![header];
        passed
    });
    works(&keyring).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_wait_and_a_pause_asks_nothing() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let limits = "
        [kek.limits]
        max_retries = 2
        retry_backoff_ms = 300
        pause_after_failure_ms = 5_000
    ";
    let keyring = limited(&proxy, &folder, limits);
    proxy.answer(|_, _| answer(503, "{}"));
    let started = Instant::now();
    expect(&keyring, works(&keyring).await, KekTrouble::Busy);
    // The pauses are at least half of 300 ms and half of 600 ms.
    assert!(started.elapsed() >= Duration::from_millis(440));
    let asked = proxy.requests("encrypt");
    proxy.behave();
    expect(&keyring, works(&keyring).await, KekTrouble::Busy);
    assert_eq!(
        proxy.requests("encrypt"),
        asked,
        "the provider was asked during the pause"
    );
    until("is asked after the pause", async || {
        works(&keyring).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_are_no_more_than_the_limit() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let limits = "[kek.limits]\nmax_concurrent_requests = 3\nrequest_timeout_ms = 120_000\n";
    let keyring = limited(&proxy, &folder, limits);
    let (now, most) = (AtomicU32::new(0), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&most);
    // The limit of concurrent requests is reached before the first one is answered.
    proxy.answer(move |_, pass| {
        seen.fetch_max(1 + now.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        wait_until("is asked by three at once", || {
            seen.load(Ordering::SeqCst) >= 3
        });
        std::thread::sleep(Duration::from_millis(20));
        let passed = pass();
        now.fetch_sub(1, Ordering::SeqCst);
        passed
    });
    for outcome in join_all((0..12).map(|_| works(&keyring))).await {
        outcome.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_repeats_is_shown_nowhere() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let keyring = transit(&proxy, &folder);
    for status in [200, 400, 403, 500] {
        proxy.answer(move |seen, _| {
            let body = String::from_utf8_lossy(&seen.body);
            let token = seen.headers["x-vault-token"].to_str().unwrap();
            answer(status, json!({ "errors": [body, token] }).to_string())
        });
        let dek = Dek::make();
        let error = keyring.primary().wrap(&dek, b"place").await.unwrap_err();
        let shown = format!("{error} {error:?}") + &format!("{:?}", VaultError::from(error));
        let plain = STANDARD.encode(dek.expose());
        for secret in [&plain[..16], &hex::encode(dek.expose())[..16], ROOT_TOKEN] {
            assert!(!shown.contains(secret), "{status}: {shown}");
        }
    }
}

#[track_caller]
fn garbled(error: &VaultError) {
    assert!(
        matches!(
            error,
            VaultError::KekUnavailable {
                trouble: KekTrouble::Garbled,
                ..
            }
        ),
        "{error:?}"
    );
}
