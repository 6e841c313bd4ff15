//! Secrets: versions, designation, release, and what a deletion removes.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use vault_core::{
    KekState, Metadata, ReleaseContext, ReleaseError, SecretVaults, Store, StoreError, VaultError,
};

use super::fixture::{audit_of, open};
use crate::fixture::{app_with_vault, create_vault, delete, name, operator, put, release, try_put};

pub async fn secrets_are_versioned_and_listed_by_name(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let first = put(&vaults, &app, &vault, "B", "one").await;
    put(&vaults, &app, &vault, "a", "x").await;
    put(&vaults, &app, &vault, "A", "y").await;
    let second = put(&vaults, &app, &vault, "B", "two").await;
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!(first.created_at, second.created_at);
    assert!(second.updated_at >= first.updated_at);
    let listed = vaults.secrets(app.id, vault.id).await.unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|secret| secret.name.as_str())
            .collect::<Vec<_>>(),
        ["A", "B", "a"]
    );
    assert_eq!(listed[1], second);
    let shown = serde_json::to_value(&second).unwrap();
    let keys: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys.join(" "),
        "vault_id name kek_id version created_at updated_at"
    );

    assert_eq!(release(&vaults, &app, "B").await.unwrap(), "two");
    assert!(delete(&vaults, &app, &vault, "B").await.unwrap());
    assert!(!delete(&vaults, &app, &vault, "B").await.unwrap());
    assert!(matches!(
        release(&vaults, &app, "B").await,
        Err(ReleaseError::NotFound { .. })
    ));
    let longest = "v".repeat(vault_core::SECRET_VALUE_MAX_BYTES);
    put(&vaults, &app, &vault, "B", &longest).await;
    assert_eq!(release(&vaults, &app, "B").await.unwrap(), longest);
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

pub async fn designation_decides_what_is_released(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, main) = app_with_vault(&vaults, "Shop").await;
    let (other, _) = app_with_vault(&vaults, "Other").await;
    let spare = create_vault(&vaults, &app, "spare").await;
    put(&vaults, &app, &main, "A", "of main").await;
    put(&vaults, &app, &spare, "A", "of spare").await;
    assert_eq!(release(&vaults, &app, "A").await.unwrap(), "of main");
    vaults
        .designate(&operator(), app.id, Some(spare.id))
        .await
        .unwrap();
    assert_eq!(release(&vaults, &app, "A").await.unwrap(), "of spare");

    let missing = release(&vaults, &other, "A").await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "secret \"A\" is not in the app's vault"
    );
    vaults.designate(&operator(), app.id, None).await.unwrap();
    let undesignated = release(&vaults, &app, "A").await.unwrap_err();
    assert_eq!(undesignated.to_string(), "app has no vault designated");
    assert_eq!(vaults.designated(app.id).await.unwrap(), None);
    let outcomes: Vec<_> = audit_of(&vaults, "secret.released")
        .await
        .into_iter()
        .map(|entry| entry.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [
            "no_vault_designated",
            "not_found",
            "authorised",
            "authorised"
        ]
    );
}

pub async fn a_deleted_vault_takes_everything_with_it(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    put(&vaults, &app, &vault, "A", "x").await;
    put(&vaults, &app, &vault, "B", "y").await;
    assert_eq!(
        vaults
            .delete_vault(&operator(), app.id, vault.id)
            .await
            .unwrap(),
        2
    );
    assert_eq!(vaults.app(app.id).await.unwrap().vault_id, None);
    assert!(matches!(
        release(&vaults, &app, "A").await,
        Err(ReleaseError::NoVaultDesignated)
    ));
    assert_eq!(vaults.vaults(app.id).await.unwrap(), []);
    assert!(
        vaults
            .kek_status()
            .await
            .unwrap()
            .keks
            .iter()
            .all(|kek| kek.rows == 0)
    );
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
    create_vault(&vaults, &app, "main").await;
}

pub async fn concurrent_puts_all_count(store: Arc<dyn Store>) {
    const WRITERS: u64 = 32;
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (vaults, app, vault) = (vaults.clone(), app.clone(), vault.clone());
            tokio::spawn(async move {
                (
                    put(&vaults, &app, &vault, "A", &writer.to_string())
                        .await
                        .version,
                    writer,
                )
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    let mut last = (0, 0);
    for writer in writers {
        let written = writer.await.unwrap();
        versions.insert(written.0);
        last = last.max(written);
    }
    assert_eq!(versions, (1..=WRITERS).collect());
    assert_eq!(
        release(&vaults, &app, "A").await.unwrap(),
        last.1.to_string()
    );
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

pub async fn without_a_kek_everything_else_works(store: Arc<dyn Store>) {
    let vaults = SecretVaults::open(store, None).await.unwrap();
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    assert_eq!(vaults.kek_state(), KekState::Unset);
    let refused = try_put(&vaults, &app, &vault, "A", "v").await;
    assert!(matches!(refused, Err(VaultError::KekUnset)));
    assert!(matches!(
        vaults.require_kek().await,
        Err(VaultError::KekUnset)
    ));
    let unavailable = release(&vaults, &app, "A").await.unwrap_err();
    assert_eq!(unavailable.to_string(), "the vault is unavailable");
    assert_eq!(vaults.secrets(app.id, vault.id).await.unwrap(), []);
    vaults.probe().await.unwrap();
}

pub async fn origins_come_with_the_release(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    put(&vaults, &app, &vault, "A", "bound").await;
    put(&vaults, &app, &vault, "B", "free").await;
    let metadata =
        Metadata::parse(json!({"origins": {"A": ["https://a.example", "https://b.example"]}}))
            .unwrap();
    vaults
        .update_vault_metadata(&operator(), app.id, vault.id, metadata)
        .await
        .unwrap();
    let context = ReleaseContext::new(app.id, "tool", "sha256:00");
    let bound = vaults.release(&context, &name("A")).await.unwrap();
    assert_eq!(
        bound.origins,
        Some(vec![
            "https://a.example".to_owned(),
            "https://b.example".to_owned()
        ])
    );
    assert_eq!(
        vaults.release(&context, &name("B")).await.unwrap().origins,
        None
    );
    assert_eq!(
        vaults.reopen(&bound.sealed).await.unwrap().expose(),
        "bound"
    );
}

pub async fn a_closed_store_refuses(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    vaults.close().await.unwrap();
    vaults.close().await.unwrap();
    assert!(matches!(
        vaults.apps().await,
        Err(VaultError::Store(StoreError::Closed))
    ));
    let refused = try_put(&vaults, &app, &vault, "A", "v").await;
    assert!(matches!(
        refused,
        Err(VaultError::Store(StoreError::Closed))
    ));
    assert!(matches!(
        release(&vaults, &app, "A").await,
        Err(ReleaseError::Unavailable { .. })
    ));
    assert!(matches!(
        vaults.probe().await,
        Err(VaultError::Store(StoreError::Closed))
    ));
}
