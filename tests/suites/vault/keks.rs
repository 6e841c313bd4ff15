//! Keyrings that fit the data, and the errors of those that do not.

use std::sync::Arc;

use vault_core::{
    KekState, Keyring, LocalKek, ReleaseError, SecretVaults, SqliteOptions, SqliteStore,
    VaultError, VaultOptions,
};

use crate::fixture::{
    Kind, Platform, app_with_vault, fresh_keyring, keyring, on_every_kind, put, release, try_put,
};

on_every_kind! {
    another_kek_does_not_fit_data_that_it_never_wrapped
    a_canary_without_secrets_binds_nobody
    the_first_secret_decides_which_kek_fits
    a_kek_whose_secrets_are_gone_has_no_claim
    a_mismatch_ends_without_a_restart
}

async fn another_kek_does_not_fit_data_that_it_never_wrapped(kind: Kind) {
    let platform = Platform::on(kind).await;
    let written = platform.put("A", "v").await;
    let other = LocalKek::make_text();
    let vaults = platform.beside(keyring(&other)).await;
    assert_eq!(
        vaults.kek_state(),
        KekState::Mismatch {
            wanted: written.kek_id,
            rows: 1
        }
    );
    let refused = refuses(&vaults, &platform).await;
    assert!(matches!(refused, VaultError::KekMismatch { wanted, .. } if wanted == written.kek_id));
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

    // If the keyring also has the key that the data needs, the new key is accepted.
    let both = Keyring::local(&other, Some(&platform.kek)).unwrap();
    let vaults = platform.beside(both).await;
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

async fn a_canary_without_secrets_binds_nobody(kind: Kind) {
    let platform = Platform::on(kind).await;
    platform.put("A", "v").await;
    assert!(platform.delete("A").await);
    let vaults = platform.beside(fresh_keyring()).await;
    assert_eq!(vaults.kek_state(), KekState::Ready);
    put(&vaults, &platform.app, &platform.vault, "A", "w").await;
    assert_eq!(release(&vaults, &platform.app, "A").await.unwrap(), "w");
}

/// Two processes begin on an empty database with different keys. The first secret decides.
async fn the_first_secret_decides_which_kek_fits(kind: Kind) {
    let platform = Platform::on(kind).await;
    let other = platform.beside(fresh_keyring()).await;
    assert_eq!(
        (platform.vaults.kek_state(), other.kek_state()),
        (KekState::Ready, KekState::Ready)
    );
    put(&other, &platform.app, &platform.vault, "A", "v").await;
    refuses(&platform.vaults, &platform).await;
    assert!(matches!(
        platform.release("A").await,
        Err(ReleaseError::Unavailable { .. })
    ));
}

/// A process still has the KEK of secrets that were all deleted. Since then another process has
/// stored a secret under its own KEK.
async fn a_kek_whose_secrets_are_gone_has_no_claim(kind: Kind) {
    let platform = Platform::on(kind).await;
    platform.put("A", "v").await;
    assert!(platform.delete("A").await);
    let other = platform.beside(fresh_keyring()).await;
    put(&other, &platform.app, &platform.vault, "A", "w").await;
    refuses(&platform.vaults, &platform).await;
    let listed = other.secrets(platform.app.id, platform.vault.id).await;
    assert_eq!(listed.unwrap().len(), 1);
}

async fn a_mismatch_ends_without_a_restart(kind: Kind) {
    let platform = Platform::on(kind).await;
    platform.put("A", "v").await;
    let other = platform.beside(fresh_keyring()).await;
    assert!(matches!(other.kek_state(), KekState::Mismatch { .. }));
    assert!(platform.delete("A").await);
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
    let vaults = platform.beside(keyring(&platform.kek)).await;
    assert!(matches!(vaults.kek_state(), KekState::CanaryFailed { .. }));
    let refused = try_put(&vaults, &platform.app, &platform.vault, "B", "w").await;
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

/// The error of a put that must be refused because one secret needs another KEK.
async fn refuses(vaults: &SecretVaults, platform: &Platform) -> VaultError {
    let refused = try_put(vaults, &platform.app, &platform.vault, "B", "w").await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, VaultError::KekMismatch { rows: 1, .. }),
        "{refused:?}"
    );
    refused
}
