//! Changes on a condition: of two clients that read the same state, one changes it and the other is
//! told.

use std::{collections::HashSet, sync::Arc};

use serde_json::json;
use vault_core::{
    AppId, AuditQuery, Condition, Metadata, RedactedSecret, Revision, SecretVaults, Store,
    VaultError, VaultId,
};

use super::fixture::open;
use crate::fixture::{
    app_with_vault, create_vault, delete, name, operator, put, release, try_put, value,
};

pub async fn a_secret_changes_only_on_its_condition(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let put_if = async |key: &str, text: &str, condition: Condition| {
        vaults
            .put_secret_if(
                &operator(),
                app.id,
                vault.id,
                &name(key),
                &value(text),
                condition,
            )
            .await
    };
    let delete_if = async |key: &str, condition: Condition| {
        vaults
            .delete_secret_if(&operator(), app.id, vault.id, &name(key), condition)
            .await
    };

    let first = put(&vaults, &app, &vault, "A", "one").await;
    let other = put(&vaults, &app, &vault, "B", "x").await;
    let second = put_if("A", "two", first.revision().into()).await.unwrap();
    assert_eq!(second.version, 2);
    assert_ne!(second.revision(), first.revision());

    let before = state(&vaults, app.id, vault.id).await;
    for stale in [
        first.revision().into(),
        other.revision().into(),
        Condition::AnyOf(vec![]),
    ] {
        failed(put_if("A", "lost", stale.clone()).await);
        failed(delete_if("A", stale).await);
    }
    for condition in [Condition::Exists, second.revision().into()] {
        failed(put_if("ABSENT", "lost", condition.clone()).await);
        failed(delete_if("ABSENT", condition).await);
    }
    assert_eq!(state(&vaults, app.id, vault.id).await, before);
    assert_eq!(release(&vaults, &app, "A").await.unwrap(), "two");

    let either = Condition::AnyOf(vec![other.revision(), second.revision()]);
    let third = put_if("A", "three", either).await.unwrap();
    let fourth = put_if("A", "four", Condition::Exists).await.unwrap();
    failed(delete_if("A", third.revision().into()).await);
    assert!(delete_if("A", fourth.revision().into()).await.unwrap());
    assert!(delete_if("B", Condition::Exists).await.unwrap());
    assert!(!delete_if("B", Condition::Always).await.unwrap());
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

/// When a secret is deleted and stored again at once, version and times may repeat. The revision
/// does not.
pub async fn a_secret_that_comes_back_is_another(store: Arc<dyn Store>) {
    const ROUNDS: usize = 100;
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let mut revisions = HashSet::new();
    for _ in 0..ROUNDS {
        let stored = put(&vaults, &app, &vault, "A", "the same").await;
        assert_eq!(stored.version, 1);
        assert_eq!(
            vaults.secrets(app.id, vault.id).await.unwrap()[0].revision(),
            stored.revision()
        );
        assert!(revisions.insert(stored.revision()));
        delete(&vaults, &app, &vault, "A").await.unwrap();
    }
    put(&vaults, &app, &vault, "A", "the same").await;
    let stale = Condition::AnyOf(revisions.into_iter().collect());
    failed(
        vaults
            .delete_secret_if(&operator(), app.id, vault.id, &name("A"), stale)
            .await,
    );
}

pub async fn a_vault_changes_only_on_its_condition(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, main) = app_with_vault(&vaults, "Shop").await;
    let (other, foreign) = app_with_vault(&vaults, "Other").await;
    let update_if = async |members: serde_json::Value, condition: Condition| {
        let metadata = Metadata::parse(members).unwrap();
        vaults
            .update_vault_metadata_if(&operator(), app.id, main.id, metadata, condition)
            .await
    };
    let delete_if = async |id: VaultId, condition: Condition| {
        vaults
            .delete_vault_if(&operator(), app.id, id, condition)
            .await
    };

    // The secrets of a vault and its designation are not part of its state.
    put(&vaults, &app, &main, "A", "v").await;
    let second = update_if(json!({"n": 2}), main.revision().into())
        .await
        .unwrap();
    assert_ne!(second.revision(), main.revision());
    let read = vaults.vault(app.id, main.id).await.unwrap();
    assert_eq!(read.revision(), second.revision());

    let before = state(&vaults, app.id, main.id).await;
    for stale in [main.revision(), foreign.revision()] {
        failed(update_if(json!({"n": "lost"}), stale.into()).await);
        failed(delete_if(main.id, stale.into()).await);
    }
    assert_eq!(state(&vaults, app.id, main.id).await, before);
    assert_eq!(vaults.vault(app.id, main.id).await.unwrap(), second);

    // A vault of another app counts as missing, whatever the condition says.
    for id in [foreign.id, VaultId::make()] {
        for condition in [Condition::Exists, foreign.revision().into()] {
            let outcome = delete_if(id, condition).await;
            assert!(
                matches!(outcome, Err(VaultError::NotFound { what: "vault" })),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(vaults.vaults(other.id).await.unwrap(), [foreign]);
    let third = update_if(json!({}), Condition::Exists).await.unwrap();
    assert_eq!(
        delete_if(main.id, third.revision().into()).await.unwrap(),
        1
    );
    assert_eq!(vaults.designated(app.id).await.unwrap(), None);
}

pub async fn one_of_many_with_the_same_revision_wins(store: Arc<dyn Store>) {
    const WRITERS: usize = 32;
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let first = put(&vaults, &app, &vault, "A", "first").await;
    let puts = (0..WRITERS).map(|writer| {
        let (vaults, condition) = (vaults.clone(), first.revision().into());
        tokio::spawn(async move {
            let (key, text) = (name("A"), value(&writer.to_string()));
            let stored = vaults
                .put_secret_if(&operator(), app.id, vault.id, &key, &text, condition)
                .await;
            stored.map(|stored| (stored, writer))
        })
    });
    let (stored, winner) = only(puts.collect()).await;
    assert_eq!(stored.version, 2);
    assert_eq!(
        release(&vaults, &app, "A").await.unwrap(),
        winner.to_string()
    );

    let deletions = (0..WRITERS).map(|_| {
        let (vaults, condition) = (vaults.clone(), stored.revision().into());
        tokio::spawn(async move {
            vaults
                .delete_secret_if(&operator(), app.id, vault.id, &name("A"), condition)
                .await
        })
    });
    assert!(only(deletions.collect()).await);

    let updates = (0..WRITERS).map(|writer| {
        let (vaults, condition) = (vaults.clone(), vault.revision().into());
        let metadata = Metadata::parse(json!({"writer": writer})).unwrap();
        tokio::spawn(async move {
            vaults
                .update_vault_metadata_if(&operator(), app.id, vault.id, metadata, condition)
                .await
        })
    });
    let updated = only(updates.collect()).await;
    assert_eq!(vaults.vault(app.id, vault.id).await.unwrap(), updated);
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

/// Puts without a condition all count, beside those with one.
pub async fn who_sets_no_condition_is_not_refused(store: Arc<dyn Store>) {
    const ROUNDS: u64 = 40;
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let spare = create_vault(&vaults, &app, "spare").await;
    assert_ne!(spare.revision(), vault.revision());
    put(&vaults, &app, &vault, "A", "v").await;
    let (mut plain, mut on_condition) = (0, 0);
    for _ in 0..ROUNDS {
        let seen: Revision = vaults.secrets(app.id, vault.id).await.unwrap()[0].revision();
        let (key, text) = (name("A"), value("w"));
        let caller = operator();
        let (first, second) = tokio::join!(
            try_put(&vaults, &app, &vault, "A", "v"),
            vaults.put_secret_if(&caller, app.id, vault.id, &key, &text, seen.into()),
        );
        plain += u64::from(first.is_ok());
        match second {
            Ok(_) => on_condition += 1,
            other => failed(other),
        }
    }
    assert_eq!(plain, ROUNDS);
    let version = vaults.secrets(app.id, vault.id).await.unwrap()[0].version;
    assert_eq!(version, 1 + plain + on_condition);
}

/// Everything that a change could leave behind: the secrets' views, and the audit.
async fn state(
    vaults: &SecretVaults,
    app_id: AppId,
    vault_id: VaultId,
) -> (Vec<RedactedSecret>, u64) {
    let secrets = vaults.secrets(app_id, vault_id).await.unwrap();
    let page = vaults.audit_entries(AuditQuery::default()).await.unwrap();
    (secrets, page.total)
}

fn failed<T: std::fmt::Debug>(outcome: Result<T, VaultError>) {
    assert!(
        matches!(outcome, Err(VaultError::PreconditionFailed)),
        "{outcome:?}"
    );
}

/// The result of the only change that was not refused.
async fn only<T: std::fmt::Debug>(
    writers: Vec<tokio::task::JoinHandle<Result<T, VaultError>>>,
) -> T {
    let mut winners = Vec::new();
    for writer in writers {
        match writer.await.unwrap() {
            Ok(won) => winners.push(won),
            lost => failed(lost),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    winners.remove(0)
}
