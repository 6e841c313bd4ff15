//! Which keyrings fit which data, and what is said when one does not.

use std::sync::Arc;

use vault_core::{
    KekState, Keyring, LocalKek, ReleaseError, SecretVaults, SqliteOptions, SqliteStore,
    VaultError, VaultOptions,
};

use crate::fixture::{Platform, app_with_vault, keyring, name, operator, put, release, value};

async fn reopened(platform: &Platform, keyring: Option<Keyring>) -> SecretVaults {
    let store = Arc::new(SqliteStore::open(platform.path(), SqliteOptions::default()).unwrap());
    SecretVaults::open(store, keyring).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kek_does_not_fit_data_that_it_never_wrapped() {
    let platform = Platform::new().await;
    let written = platform.put("A", "v").await;
    let other = LocalKek::make_text();
    let vaults = reopened(&platform, Some(keyring(&other))).await;
    assert_eq!(
        vaults.kek_state(),
        KekState::Mismatch {
            wanted: written.kek_id,
            rows: 1
        }
    );
    let refused = vaults
        .put_secret(
            &operator(),
            platform.app.id,
            platform.vault.id,
            &name("B"),
            &value("w"),
        )
        .await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, VaultError::KekMismatch { wanted, rows: 1 } if wanted == written.kek_id)
    );
    assert!(refused.to_string().contains(&written.kek_id.to_string()));
    assert!(matches!(
        release(&vaults, &platform.app, "A").await,
        Err(ReleaseError::Unavailable { .. })
    ));
    assert_eq!(
        vaults
            .secrets(platform.app.id, platform.vault.id)
            .await
            .unwrap(),
        [written]
    );

    // With the key that the data needs beside it, the new one is welcome.
    let both = Keyring::local(&other, Some(&platform.kek)).unwrap();
    let vaults = reopened(&platform, Some(both)).await;
    assert_eq!(vaults.kek_state(), KekState::Ready);
    assert_eq!(release(&vaults, &platform.app, "A").await.unwrap(), "v");
    put(&vaults, &platform.app, &platform.vault, "B", "w").await;
    let status = vaults.kek_status().await.unwrap();
    assert_eq!(
        status
            .keks
            .iter()
            .map(|kek| (kek.rows, kek.wraps))
            .collect::<Vec<_>>(),
        [(1, 1), (1, 1)]
    );
    assert!(
        status
            .keks
            .iter()
            .all(|kek| kek.in_keyring && kek.canary_ok == Some(true) && !kek.worn)
    );
    assert_eq!(status.primary, Some(keyring(&other).primary().kek_id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_without_secrets_binds_nobody() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    let (app, vault) = (platform.app.id, platform.vault.id);
    platform
        .vaults
        .delete_secret(&operator(), app, vault, &name("A"))
        .await
        .unwrap();
    let vaults = reopened(&platform, Some(keyring(&LocalKek::make_text()))).await;
    assert_eq!(vaults.kek_state(), KekState::Ready);
    put(&vaults, &platform.app, &platform.vault, "A", "w").await;
    assert_eq!(release(&vaults, &platform.app, "A").await.unwrap(), "w");
}

/// Two processes that began on an empty database with different keys: the first secret decides.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_secret_decides_which_kek_fits() {
    let platform = Platform::new().await;
    let other = reopened(&platform, Some(keyring(&LocalKek::make_text()))).await;
    assert_eq!(
        (platform.vaults.kek_state(), other.kek_state()),
        (KekState::Ready, KekState::Ready)
    );
    put(&other, &platform.app, &platform.vault, "A", "v").await;
    let (app, vault) = (platform.app.id, platform.vault.id);
    let refused = platform
        .vaults
        .put_secret(&operator(), app, vault, &name("B"), &value("w"))
        .await;
    assert!(
        matches!(refused, Err(VaultError::KekMismatch { rows: 1, .. })),
        "{:?}",
        refused.err()
    );
    assert!(matches!(
        platform.release("A").await,
        Err(ReleaseError::Unavailable { .. })
    ));
}

/// The same when the first process knew the store already: what it once wrote is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_kek_whose_secrets_are_gone_has_no_claim() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    let (app, vault) = (platform.app.id, platform.vault.id);
    platform
        .vaults
        .delete_secret(&operator(), app, vault, &name("A"))
        .await
        .unwrap();
    let other = reopened(&platform, Some(keyring(&LocalKek::make_text()))).await;
    put(&other, &platform.app, &platform.vault, "A", "w").await;
    let refused = platform
        .vaults
        .put_secret(&operator(), app, vault, &name("B"), &value("x"))
        .await;
    assert!(
        matches!(refused, Err(VaultError::KekMismatch { rows: 1, .. })),
        "{:?}",
        refused.err()
    );
    assert_eq!(other.secrets(app, vault).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mismatch_ends_without_a_restart() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    let other = reopened(&platform, Some(keyring(&LocalKek::make_text()))).await;
    assert!(matches!(other.kek_state(), KekState::Mismatch { .. }));
    let (app, vault) = (platform.app.id, platform.vault.id);
    platform
        .vaults
        .delete_secret(&operator(), app, vault, &name("A"))
        .await
        .unwrap();
    put(&other, &platform.app, &platform.vault, "A", "w").await;
    assert_eq!(other.kek_state(), KekState::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_canary_stops_writing_and_not_reading() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    platform
        .raw()
        .execute_batch("UPDATE keks SET canary = zeroblob(62)")
        .unwrap();
    let vaults = reopened(&platform, Some(keyring(&platform.kek))).await;
    assert!(matches!(vaults.kek_state(), KekState::CanaryFailed { .. }));
    let refused = vaults
        .put_secret(
            &operator(),
            platform.app.id,
            platform.vault.id,
            &name("B"),
            &value("w"),
        )
        .await;
    assert!(matches!(refused, Err(VaultError::KekCanary { .. })));
    assert_eq!(release(&vaults, &platform.app, "A").await.unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worn_kek_is_reported_from_the_limit_on() {
    let platform = Platform::new().await;
    let store = Arc::new(SqliteStore::open(platform.path(), SqliteOptions::default()).unwrap());
    let options = VaultOptions {
        wraps_warning: 3,
        ..VaultOptions::default()
    };
    let vaults = SecretVaults::open_with(store, Some(keyring(&platform.kek)), options)
        .await
        .unwrap();
    let (app, vault) = app_with_vault(&vaults, "Other").await;
    for wraps in 1..=4 {
        put(&vaults, &app, &vault, "A", "v").await;
        let kek = vaults.kek_status().await.unwrap().keks.remove(0);
        assert_eq!((kek.wraps, kek.worn), (wraps, wraps >= 3));
    }
}
