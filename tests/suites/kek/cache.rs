//! Remembered DEKs: how often a provider is asked, and what works while it is unavailable.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tavora_tests::eventually::{PATIENCE, report, until};
use tempfile::TempDir;
use vault_core::{KekState, KekTrouble, Keyring, ReleaseError, VaultError};

use crate::fixture::{Platform, keyring, release};
use crate::openbao::{OpenBao, ROOT_TOKEN};
use crate::proxy::Proxy;
use crate::transit::table;

/// The time for which DEKs are remembered in these tests.
const LIFETIME: Duration = Duration::from_millis(6_000);

const LIMITS: &str = "
    [kek.limits]
    request_timeout_ms = 800
    max_retries = 1
    retry_backoff_ms = 10
    pause_after_failure_ms = 300
    dek_lifetime_ms = 6_000
";

fn transit(url: &str, folder: &TempDir) -> Keyring {
    let table = table("main", url, folder.path(), ROOT_TOKEN, "key = \"tavora\"");
    keyring(
        &["[kek]\nprovider = \"transit\"\n", LIMITS, &table].concat(),
        &[],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dek_is_asked_for_once_however_many_need_it() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(bao.server.address).await;
    let platform = Platform::new(transit(proxy.url(), &folder)).await;
    platform.put("A", "v").await.unwrap();
    let stored = proxy.requests("decrypt");
    // The check after the wrap already made the DEK known.
    assert_eq!(platform.release("A").await.unwrap(), "v");
    assert_eq!(proxy.requests("decrypt"), stored);

    let again = platform.reopened(transit(proxy.url(), &folder)).await;
    let canary = proxy.requests("decrypt");
    // Most of the requests arrive before the first answer.
    proxy.answer(|_, pass| {
        std::thread::sleep(Duration::from_millis(150));
        pass()
    });
    let released = (0..50).map(|_| release(&again, &platform.app, "A"));
    assert!(
        join_all(released)
            .await
            .into_iter()
            .all(|it| it.unwrap() == "v")
    );
    assert_eq!(proxy.requests("decrypt"), canary + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_unwrapped_works_while_the_provider_is_away_and_only_so_long() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::new(transit(&bao.server.url(), &folder)).await;
    let kek_id = platform.put("A", "v").await.unwrap().kek_id;
    platform.put("B", "w").await.unwrap();
    let known_since = Instant::now();

    bao.server.freeze();
    while known_since.elapsed() < LIFETIME / 2 {
        assert_eq!(platform.release("A").await.unwrap(), "v");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = platform.put("A", "new").await.unwrap_err();
    assert!(
        matches!(&refused, VaultError::KekUnavailable { kek_id: named, trouble: KekTrouble::TimedOut, .. } if *named == kek_id),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains(&kek_id.to_string()),
        "{refused}"
    );
    // The canary and the other DEKs are still remembered, so the host stays ready.
    assert_eq!(
        platform.vaults.refresh_kek_state().await.unwrap(),
        KekState::Ready
    );

    tokio::time::sleep(LIFETIME.saturating_sub(known_since.elapsed())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = platform.release("A").await.unwrap_err();
    let ReleaseError::Unavailable { cause } = &refused else {
        panic!("{refused:?}")
    };
    assert!(
        causes(cause).contains(&kek_id.to_string()),
        "{}",
        causes(cause)
    );
    let state = platform.vaults.refresh_kek_state().await.unwrap();
    assert!(
        matches!(state, KekState::Unavailable { kek_id: named, kind: "transit", .. } if named == kek_id),
        "{state:?}"
    );

    bao.server.thaw();
    until("is released again", async || {
        platform.release("A").await.is_ok() && platform.vaults.kek_state() == KekState::Ready
    })
    .await;
    assert_eq!(platform.release("B").await.unwrap(), "w");
    platform.put("A", "new").await.unwrap();
    assert_eq!(platform.release("A").await.unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_named_and_one_in_its_place_is_used() {
    let Some(mut bao) = OpenBao::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::new(transit(&bao.server.url(), &folder)).await;
    platform.put("A", "v").await.unwrap();
    bao.server.kill();
    assert_eq!(platform.release("A").await.unwrap(), "v");
    let refused = platform.put("B", "w").await.unwrap_err();
    assert!(
        matches!(
            refused,
            VaultError::KekUnavailable {
                trouble: KekTrouble::Unreachable,
                ..
            }
        ),
        "{refused:?}"
    );
}

/// Without the pause, each release would wait for the full time limits, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_holds_up_nobody_for_long() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::new(transit(&bao.server.url(), &folder)).await;
    for number in 0..20 {
        platform.put(&format!("S{number}"), "v").await.unwrap();
    }
    bao.server.freeze();
    let cold = platform.reopened(transit(&bao.server.url(), &folder)).await;
    let started = Instant::now();
    let releases = (0..200).map(async |number: usize| {
        release(&cold, &platform.app, &format!("S{}", number % 20)).await
    });
    assert!(join_all(releases).await.iter().all(Result::is_err));
    // Two attempts take 800 ms each, and once more for those that came after the pause. One after
    // the other, all would take 320 s.
    let took = started.elapsed();
    report("200 releases of a provider that hangs", took);
    assert!(took < PATIENCE, "{took:?}");
    bao.server.thaw();
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said
}
