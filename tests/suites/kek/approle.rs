//! The life of an AppRole's token while nobody asks for anything.

use std::time::Duration;

use serde_json::json;
use tavora_tests::eventually::{until, wait_until};
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;
use vault_core::{KekError, KekTrouble};

use crate::fixture::{expect, works};
use crate::scripted::{Rules, Scripted};

/// A secret id that logs in once, and tokens that leave a busy machine time to renew them.
fn once() -> Rules {
    Rules {
        lease_seconds: 4,
        logins: 1,
        ..Rules::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_while_there_are_no_requests() {
    let server = Scripted::start(once()).await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = server.keyring(&folder);
    works(&keyring).await.unwrap();
    until("renews again", async || server.renewals() >= 2).await;
    works(&keyring).await.unwrap();
    assert_eq!(server.logins(), 1, "the secret id logs in once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_be_renewed_is_replaced_while_there_are_no_requests() {
    let server = Scripted::start(Rules {
        lease_seconds: 1,
        logins: usize::MAX,
        ..Rules::default()
    })
    .await;
    server.refuse_to_renew();
    let folder = tempfile::tempdir().unwrap();
    let keyring = server.keyring(&folder);
    works(&keyring).await.unwrap();
    until("logs in again", async || server.logins() >= 3).await;
    assert_eq!(server.renewals(), 0);
    works(&keyring).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_renewals_end_with_the_client() {
    let server = Scripted::start(once()).await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = server.keyring(&folder);
    works(&keyring).await.unwrap();
    until("renews", async || server.renewals() >= 1).await;
    drop(keyring);
    // A renewal may be on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = server.renewals();
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(server.renewals(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_token_whose_secret_id_is_used_up_is_told_with_that_cause() {
    let server = Scripted::start(Rules {
        lease_seconds: 600,
        ..once()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = server.keyring(&folder);
    works(&keyring).await.unwrap();
    server.revoke();
    expect(&keyring, works(&keyring).await, KekTrouble::LoginRefused);
    let said = works(&keyring).await.unwrap_err().to_string();
    assert!(said.contains("secret_id_num_uses"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_policy_lacks_the_key_is_not_called_lost() {
    let server = Scripted::start(Rules {
        lease_seconds: 600,
        ..once()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = server.keyring(&folder);
    works(&keyring).await.unwrap();
    server.refuse_the_key();
    let error = works(&keyring).await.unwrap_err();
    assert!(
        matches!(
            error,
            KekError::Provider {
                trouble: KekTrouble::Denied,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_says_that_the_secret_id_is_used_up() {
    let server = Scripted::start(once()).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Serving::start_with(&server.config(&folder), |command| {
        command.env_remove("TAVORA_SECRET_KEK");
    });
    let ready = Request::new("GET", "/readyz");
    assert_eq!(host.send(&ready).status, 200);
    // An idle host keeps its token.
    let renewals = server.renewals();
    wait_until("renews", || server.renewals() >= renewals + 2);
    assert_eq!(host.send(&ready).status, 200);

    server.refuse_to_renew();
    server.revoke();
    wait_until("is not ready", || host.send(&ready).status == 503);
    let refused = host.send(&ready).json();
    assert_eq!(refused["code"], json!("kek_unavailable"));
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("secret_id_num_uses"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_says_who_asks_and_wants_no_compression() {
    let server = Scripted::start(once()).await;
    let folder = tempfile::tempdir().unwrap();
    works(&server.keyring(&folder)).await.unwrap();
    let expected = format!("tavora-host/{}", env!("CARGO_PKG_VERSION"));
    let headers = server.headers();
    assert!(headers.len() >= 3);
    for headers in headers {
        assert_eq!(headers["user-agent"], expected);
        assert_eq!(headers["accept-encoding"], "identity");
    }
}
