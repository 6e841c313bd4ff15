//! The audit as it is written and read.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use futures::future::join_all;

use serde_json::json;
use vault_core::{
    Actor, ApiKeyId, AppId, AuditDraft, AuditQuery, Caller, Keyring, LocalKek, Metadata,
    ReleaseContext, RewrapOptions, RewrapProgress, SecretVaults, Store, StoreError, Subject,
    VaultError,
    audit::{AUDIT_PAGE_MAX, action, subject_kind},
};

use super::fixture::{audit_of, open};
use crate::fixture::{app_with_vault, keyring, name, operator, put, value};

pub async fn everything_is_audited(store: Arc<dyn Store>) {
    let old = LocalKek::make_text();
    let vaults = SecretVaults::open(Arc::clone(&store), Some(keyring(&old)))
        .await
        .unwrap();
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let (key, _) = vaults
        .create_api_key(&operator(), app.id, "ci".parse().unwrap(), None)
        .await
        .unwrap();
    let caller = Caller::api_key(key.id).in_request("req-7");
    vaults
        .put_secret(&caller, app.id, vault.id, &name("A"), &value("v"))
        .await
        .unwrap();
    let context = ReleaseContext {
        request_id: Some("req-8".into()),
        session_id: Some("session-1".into()),
        api_key_id: Some(key.id),
        ..ReleaseContext::new(app.id, "brave-search", "sha256:0f")
    };
    vaults.release(&context, &name("A")).await.unwrap();
    let both = Keyring::local(&LocalKek::make_text(), Some(&old)).unwrap();
    let vaults = SecretVaults::open(store, Some(both)).await.unwrap();
    let options = RewrapOptions {
        reencrypt: true,
        ..RewrapOptions::default()
    };
    let go_on = |_: &RewrapProgress| ControlFlow::Continue(());
    vaults.rewrap(&operator(), options, go_on).await.unwrap();
    vaults
        .retire_kek(&operator(), keyring(&old).primary().kek_id())
        .await
        .unwrap();
    vaults
        .delete_secret(&caller, app.id, vault.id, &name("A"))
        .await
        .unwrap();
    vaults
        .update_vault_metadata(&caller, app.id, vault.id, Metadata::default())
        .await
        .unwrap();
    vaults.designate(&caller, app.id, None).await.unwrap();
    vaults
        .delete_vault(&caller, app.id, vault.id)
        .await
        .unwrap();
    vaults
        .revoke_api_key(&operator(), app.id, key.id)
        .await
        .unwrap();

    let page = vaults.audit_entries(AuditQuery::default()).await.unwrap();
    let actions: Vec<_> = page
        .entries
        .iter()
        .rev()
        .map(|entry| entry.action.as_str())
        .collect();
    let expected = "app.created vault.created app.vault_designated api_key.created kek.registered secret.put \
                    secret.released kek.registered kek.rewrap_started secret.reencrypted kek.rewrap_ended kek.retired \
                    secret.deleted vault.updated app.vault_cleared vault.deleted api_key.revoked";
    assert_eq!(actions.join(" "), expected);
    assert_eq!(page.total, 17);
    // The filters that a page can offer are exactly the actions that exist.
    let recorded: BTreeSet<_> = actions.into_iter().collect();
    assert_eq!(recorded, action::ALL.iter().copied().collect());
    let subjects = page
        .entries
        .iter()
        .filter_map(|entry| entry.subject.as_ref());
    let kinds: BTreeSet<_> = subjects.map(|subject| &*subject.kind).collect();
    assert_eq!(kinds, subject_kind::ALL.iter().copied().collect());
    assert!(
        page.entries
            .is_sorted_by(|newer, older| newer.seq == older.seq + 1)
    );

    let put = &audit_of(&vaults, "secret.put").await[0];
    assert_eq!(
        (put.actor.clone(), put.request_id.as_deref()),
        (Actor::ApiKey(key.id), Some("req-7"))
    );
    assert_eq!(put.subject.as_ref().unwrap().id, format!("{}/A", vault.id));
    let released = &audit_of(&vaults, "secret.released").await[0];
    assert_eq!(
        released.actor,
        Actor::Tool {
            name: "brave-search".into(),
            digest: "sha256:0f".into()
        }
    );
    assert_eq!(
        (released.api_key_id, released.secret_version),
        (Some(key.id), Some(1))
    );
    assert_eq!(
        (
            released.request_id.as_deref(),
            released.session_id.as_deref()
        ),
        (Some("req-8"), Some("session-1"))
    );
    assert_eq!(released.app_id, Some(app.id));
}

pub async fn the_audit_can_be_queried(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    let (other, _) = app_with_vault(&vaults, "Other").await;
    for index in 0..5 {
        put(&vaults, &app, &vault, &format!("S{index}"), "v").await;
    }
    let query = AuditQuery {
        app_id: Some(app.id),
        action: Some("secret.put".into()),
        ..AuditQuery::default()
    };
    let page = vaults
        .audit_entries(AuditQuery {
            limit: Some(2),
            offset: 1,
            ..query.clone()
        })
        .await
        .unwrap();
    assert_eq!(
        (page.total, page.limit, page.offset, page.entries.len()),
        (5, 2, 1, 2)
    );
    assert!(
        page.entries[0]
            .subject
            .as_ref()
            .unwrap()
            .id
            .ends_with("/S3")
    );
    let total = async |query| vaults.audit_entries(query).await.unwrap().total;
    assert_eq!(
        total(AuditQuery {
            app_id: Some(other.id),
            ..query.clone()
        })
        .await,
        0
    );
    let apps = AuditQuery {
        subject_kind: Some("app".into()),
        ..AuditQuery::default()
    };
    assert_eq!(total(apps).await, 4);
    let at = page.entries[0].created_at;
    let (before, after) = (
        AuditQuery {
            to: Some(at),
            ..query.clone()
        },
        AuditQuery {
            from: Some(at),
            ..query
        },
    );
    assert_eq!(total(before).await + total(after).await, 5);
}

pub async fn an_export_has_all_that_was_there_when_it_began(store: Arc<dyn Store>) {
    const ENTRIES: usize = 2 * AUDIT_PAGE_MAX as usize + 500;
    let vaults = open(store).await;
    let (app, _) = app_with_vault(&vaults, "Shop").await;
    let record = async |app_id, index: usize| {
        let draft = AuditDraft::new(&Caller::host(), "egress.denied").app(app_id);
        vaults
            .record(draft.detail("index", index))
            .await
            .unwrap()
            .seq
    };
    let mut expected: Vec<u64> = Vec::new();
    for first in (0..ENTRIES).step_by(100) {
        let group = (first..first + 100).map(|index| record(app.id, index));
        expected.extend(join_all(group).await);
        record(AppId::make(), first).await;
    }
    expected.sort_unstable_by(|a, b| b.cmp(a));

    let query = AuditQuery {
        app_id: Some(app.id),
        action: Some("egress.denied".into()),
        // `limit` and `offset` have a meaning only for pages.
        limit: Some(3),
        offset: 7,
        ..AuditQuery::default()
    };
    let mut export = vaults.audit_export(query.clone());
    let (mut exported, mut batches) = (Vec::new(), Vec::new());
    while let Some(batch) = export.next_batch().await.unwrap() {
        batches.push(batch.len());
        exported.extend(batch.iter().map(|entry| entry.seq));
        record(app.id, ENTRIES).await;
    }
    assert_eq!(batches, [1000, 1000, 500]);
    assert!(exported == expected);
    assert!(export.next_batch().await.unwrap().is_none());

    // Batches that are exactly full, and none at all.
    let of_app = |app_id| AuditQuery {
        app_id: Some(app_id),
        ..AuditQuery::default()
    };
    let other = AppId::make();
    assert!(
        vaults
            .audit_export(of_app(other))
            .next_batch()
            .await
            .unwrap()
            .is_none()
    );
    join_all((0..AUDIT_PAGE_MAX as usize).map(|index| record(other, index))).await;
    let mut export = vaults.audit_export(of_app(other));
    assert_eq!(export.next_batch().await.unwrap().unwrap().len(), 1000);
    assert!(export.next_batch().await.unwrap().is_none());
    let mut everything = vaults.audit_export(AuditQuery::default());
    assert_eq!(everything.next_batch().await.unwrap().unwrap().len(), 1000);
}

pub async fn the_host_records_its_own_and_not_the_vaults(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let own = AuditDraft::new(&Caller::host(), "egress.denied")
        .outcome("denied")
        .detail("origin", "https://x.example");
    let entry = vaults.record(own).await.unwrap();
    assert_eq!(entry.metadata()["origin"], "https://x.example");
    assert_eq!(
        vaults
            .audit_entries(AuditQuery::default())
            .await
            .unwrap()
            .entries,
        [entry]
    );
    let forged = vaults
        .record(AuditDraft::new(&Caller::host(), "secret.deleted"))
        .await;
    assert!(matches!(forged, Err(VaultError::ReservedAction { .. })));
}

/// An entry that lists could not show later would be committed and lost for every reader.
pub async fn an_api_key_acts_on_its_own_behalf_too(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let id = ApiKeyId::make();
    let draft = AuditDraft::new(&Caller::api_key(id), "egress.denied").on_behalf_of(None);
    let entry = vaults.record(draft).await.unwrap();
    assert_eq!(entry.api_key_id, Some(id));
    assert_eq!(audit_of(&vaults, "egress.denied").await, [entry]);
}

pub async fn what_cannot_be_read_back_is_not_recorded(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    // Deeper than the JSON reader accepts.
    let deep = (0..1000).fold(json!(1), |inner, _| json!([inner]));
    let draft = AuditDraft::new(&Caller::host(), "egress.denied").detail("deep", deep);
    let refused = vaults.record(draft).await.unwrap_err();
    assert!(
        matches!(refused, VaultError::Store(StoreError::Unrecordable)),
        "{refused:?}"
    );
    let page = vaults.audit_entries(AuditQuery::default()).await.unwrap();
    assert_eq!((page.total, page.entries), (0, vec![]));
    assert_eq!(vaults.audit_verify(None).await.unwrap().entries, 0);
}

pub async fn a_zero_character_harms_no_entry(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let caller = Caller {
        session_id: Some("s\0".to_owned()),
        ..Caller::host().in_request("r\0")
    };
    let odd = || AuditDraft::new(&caller, "release.denied").about(Subject::new("secret", "A\0B"));
    // Entries that are committed with it are not harmed either.
    let recorded = join_all((0..8).map(|_| vaults.record(odd()))).await;
    for entry in recorded {
        let entry = entry.unwrap();
        assert_eq!(entry.subject.unwrap().id, "A\u{fffd}B");
        assert_eq!(entry.request_id.unwrap(), "r\u{fffd}");
    }
    for query in [
        AuditQuery {
            action: Some("release\0".to_owned()),
            ..AuditQuery::default()
        },
        AuditQuery {
            subject_kind: Some("\0".to_owned()),
            ..AuditQuery::default()
        },
    ] {
        assert_eq!(vaults.audit_entries(query).await.unwrap().total, 0);
    }
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}
