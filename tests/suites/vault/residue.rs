//! The database's files never hold a value, a key or a token, and no ciphertext once it is deleted.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use tavora_tests::eventually::PATIENCE;
use vault_core::SqliteOptions;

use crate::fixture::{Platform, operator};

const CANARY: &str = "canary-5f3a9c1e7b2d4860-planted";

#[tokio::test(flavor = "multi_thread")]
async fn no_value_key_or_token_is_ever_in_the_files() {
    let platform = Platform::new().await;
    platform.put("PLANTED", CANARY).await;
    platform.put("PLANTED", &format!("{CANARY} again")).await;
    platform.release("PLANTED").await.unwrap();
    let (_, token) = platform
        .vaults
        .create_api_key(&operator(), platform.app.id, "ci".parse().unwrap(), None)
        .await
        .unwrap();
    // The name shows that the search can find data.
    assert!(platform.files_hold(b"PLANTED"));
    let kek = BASE64_STANDARD.decode(&platform.kek).unwrap();
    let token_secret = &token[token.len() - 43..];
    for closed in [false, true] {
        let texts = [
            CANARY.to_owned(),
            hex::encode(CANARY),
            BASE64_STANDARD.encode(&CANARY[..30]),
            platform.kek.clone(),
        ];
        for text in texts.iter().chain([&token_secret.to_owned()]) {
            assert!(!platform.files_hold(text.as_bytes()), "{text}");
        }
        assert!(!platform.files_hold(&kek));
        if !closed {
            platform.vaults.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_and_overwritten_ciphertext_leaves_the_files() {
    let platform = Platform::new().await;
    let ciphertext = |name: &str| -> (Vec<u8>, Vec<u8>) {
        let sql = "SELECT payload, wrapped FROM secrets WHERE name = ?";
        platform
            .raw()
            .query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    for (key, length) in [("SHORT", 40), ("LONG", 20_000)] {
        platform.put(key, &"v".repeat(length)).await;
        let first = ciphertext(key);
        assert!(holds(&platform, &first), "{key} was never there");
        platform.put(key, &"w".repeat(length)).await;
        assert!(gone_soon(&platform, &first).await, "overwritten {key}");
        let second = ciphertext(key);
        assert!(holds(&platform, &second), "{key} was never overwritten");
        assert!(platform.delete(key).await);
        assert!(gone_soon(&platform, &second).await, "deleted {key}");
    }
    platform.put("A", "v").await;
    let with_vault = ciphertext("A");
    platform
        .vaults
        .delete_vault(&operator(), platform.app.id, platform.vault.id)
        .await
        .unwrap();
    assert!(
        gone_soon(&platform, &with_vault).await,
        "deleted with its vault"
    );
}

/// The log is emptied after the configured time, even under constant writing.
#[tokio::test(flavor = "multi_thread")]
async fn constant_writing_does_not_keep_old_ciphertext() {
    let options = SqliteOptions {
        checkpoint_settle: Duration::from_secs(60),
        checkpoint_force: Duration::from_millis(300),
        ..SqliteOptions::default()
    };
    let platform = Platform::with(options).await;
    platform.put("A", "v").await;
    let payload: Vec<u8> = platform
        .raw()
        .query_row("SELECT payload FROM secrets", [], |row| row.get(0))
        .unwrap();
    platform.put("A", "w").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while platform.files_hold(&payload[2..]) {
        assert!(Instant::now() < deadline, "the ciphertext is still there");
        platform.put("B", "x").await;
    }
}

/// Closing empties the log even when nothing had time to settle.
#[tokio::test(flavor = "multi_thread")]
async fn closing_leaves_no_deleted_ciphertext() {
    let options = SqliteOptions {
        checkpoint_settle: Duration::from_secs(60),
        ..SqliteOptions::default()
    };
    let platform = Platform::with(options).await;
    platform.put("A", "v").await;
    let reader = platform.raw();
    let payload: Vec<u8> = reader
        .query_row("SELECT payload FROM secrets", [], |row| row.get(0))
        .unwrap();
    assert!(platform.delete("A").await);
    assert!(platform.files_hold(&payload[2..]));
    // Another connection stays open, so that SQLite itself does not clean up when the last one
    // closes.
    platform.vaults.close().await.unwrap();
    assert!(!platform.files_hold(&payload[2..]));
    drop(reader);
}

fn holds(platform: &Platform, (payload, wrapped): &(Vec<u8>, Vec<u8>)) -> bool {
    // A long payload is stored in pieces, so its beginning stands for it. Every row has the same
    // first two bytes, so those are skipped.
    platform.files_hold(&payload[2..payload.len().min(60)]) || platform.files_hold(&wrapped[2..])
}

async fn gone_soon(platform: &Platform, ciphertext: &(Vec<u8>, Vec<u8>)) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if !holds(platform, ciphertext) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
