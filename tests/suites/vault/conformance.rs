//! What every store must do, seen through the public door. A new store is one more line in `on_every_store`.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use vault_core::{
    Actor, AuditDraft, AuditQuery, Caller, KekState, LocalKek, Metadata, ReleaseContext,
    ReleaseError, SecretVaults, Store, StoreError, VaultError, VaultId,
};

use crate::fixture::{app_with_vault, keyring, name, operator, put, release, value};

macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let empty = crate::fixture::sqlite();
                super::$test(empty.store.clone()).await;
            })*
        }
    };
}

on_every_store! {
    apps_have_unique_slugs
    api_keys_authenticate_until_revoked_or_expired
    vaults_belong_to_one_app
    secrets_are_versioned_and_listed_by_name
    designation_decides_what_is_released
    a_deleted_vault_takes_everything_with_it
    concurrent_puts_all_count
    everything_is_audited
    the_audit_can_be_queried
    the_host_records_its_own_and_not_the_vaults
    without_a_kek_everything_else_works
    origins_come_with_the_release
    a_closed_store_refuses
}

async fn open(store: Arc<dyn Store>) -> SecretVaults {
    SecretVaults::open(store, Some(keyring(&LocalKek::make_text())))
        .await
        .unwrap()
}

async fn apps_have_unique_slugs(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let create = |text: &str, slug: Option<&str>| {
        let (app, slug) = (
            text.parse().unwrap(),
            slug.map(|slug| slug.parse().unwrap()),
        );
        let vaults = vaults.clone();
        async move {
            vaults
                .create_app(&operator(), app, slug, Some("why".into()))
                .await
        }
    };
    let first = create("My Shop", None).await.unwrap();
    assert_eq!(
        (
            first.slug.as_str(),
            first.description.as_str(),
            first.vault_id
        ),
        ("my-shop", "why", None)
    );
    assert!(
        matches!(create("my shop", None).await, Err(VaultError::AppSlugTaken { slug }) if slug == first.slug)
    );
    let second = create("my shop", Some("other")).await.unwrap();
    assert_eq!(first.team_id, second.team_id);
    assert_eq!(
        vaults.apps().await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(vaults.app(first.id).await.unwrap(), first);
    assert_eq!(vaults.app_by_slug(&second.slug).await.unwrap(), second);
    let unknown = vaults.app_by_slug(&"none".parse().unwrap()).await;
    assert!(matches!(unknown, Err(VaultError::NotFound { what: "app" })));
}

async fn api_keys_authenticate_until_revoked_or_expired(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, _) = app_with_vault(&vaults, "Shop").await;
    let (other, _) = app_with_vault(&vaults, "Other").await;
    let (view, token) = vaults
        .create_api_key(&operator(), app.id, "ci".parse().unwrap(), None)
        .await
        .unwrap();
    assert_eq!(vaults.authenticate(&token).await.unwrap(), view);
    assert!(token.starts_with(&view.prefix));
    assert_eq!(vaults.api_keys(app.id).await.unwrap(), [view.clone()]);
    assert_eq!(vaults.api_keys(other.id).await.unwrap(), []);

    let (_, second) = vaults
        .create_api_key(&operator(), app.id, "two".parse().unwrap(), None)
        .await
        .unwrap();
    let secret_of_another = format!(
        "{}_{}",
        view.prefix,
        second.rsplit_once(&['_'][..]).unwrap().1
    );
    for bad in [
        "",
        "tvr_",
        &token[..token.len() - 1],
        &secret_of_another,
        &token.replacen("tvr_", "tvr_0", 1),
    ] {
        assert!(
            matches!(
                vaults.authenticate(bad).await,
                Err(VaultError::ApiKeyRefused)
            ),
            "{bad:?}"
        );
    }

    let foreign = vaults.revoke_api_key(&operator(), other.id, view.id).await;
    assert!(matches!(
        foreign,
        Err(VaultError::NotFound { what: "API key" })
    ));
    let revoked = vaults
        .revoke_api_key(&operator(), app.id, view.id)
        .await
        .unwrap();
    let again = vaults
        .revoke_api_key(&operator(), app.id, view.id)
        .await
        .unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(revoked, again);
    assert!(matches!(
        vaults.authenticate(&token).await,
        Err(VaultError::ApiKeyRefused)
    ));

    let past = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let (_, expired) = vaults
        .create_api_key(&operator(), app.id, "old".parse().unwrap(), past)
        .await
        .unwrap();
    assert!(matches!(
        vaults.authenticate(&expired).await,
        Err(VaultError::ApiKeyRefused)
    ));
    let future = Some("2120-01-01T00:00:00Z".parse().unwrap());
    let (_, lasting) = vaults
        .create_api_key(&operator(), app.id, "new".parse().unwrap(), future)
        .await
        .unwrap();
    assert!(vaults.authenticate(&lasting).await.is_ok());
}

async fn vaults_belong_to_one_app(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, main) = app_with_vault(&vaults, "Shop").await;
    let (other, foreign) = app_with_vault(&vaults, "Other").await;
    let metadata = Metadata::parse(json!({"b": 1, "a": [true]})).unwrap();
    let second = vaults
        .create_vault(
            &operator(),
            app.id,
            "second".parse().unwrap(),
            metadata.clone(),
        )
        .await
        .unwrap();
    assert_eq!(second.project_id, app.id);
    let twice = vaults
        .create_vault(
            &operator(),
            app.id,
            "second".parse().unwrap(),
            Metadata::default(),
        )
        .await;
    assert!(matches!(twice, Err(VaultError::VaultNameTaken { name }) if name.as_str() == "second"));
    assert_eq!(
        vaults.vaults(app.id).await.unwrap(),
        [main.clone(), second.clone()]
    );
    assert_eq!(vaults.vault(app.id, second.id).await.unwrap(), second);
    assert_eq!(
        vaults
            .vault_by_name(app.id, &second.name)
            .await
            .unwrap()
            .metadata,
        metadata
    );

    let not_found = |outcome: Result<_, VaultError>| {
        assert!(matches!(outcome, Err(VaultError::NotFound { .. })))
    };
    for id in [foreign.id, VaultId::make()] {
        not_found(vaults.vault(app.id, id).await.map(drop));
        not_found(vaults.secrets(app.id, id).await.map(drop));
        not_found(
            vaults
                .put_secret(&operator(), app.id, id, &name("A"), &value("v"))
                .await
                .map(drop),
        );
        not_found(
            vaults
                .delete_secret(&operator(), app.id, id, &name("A"))
                .await
                .map(drop),
        );
        not_found(
            vaults
                .update_vault_metadata(&operator(), app.id, id, Metadata::default())
                .await
                .map(drop),
        );
        not_found(vaults.delete_vault(&operator(), app.id, id).await.map(drop));
        not_found(vaults.designate(&operator(), app.id, Some(id)).await);
    }
    assert_eq!(vaults.designated(app.id).await.unwrap(), Some(main.id));
    assert_eq!(vaults.vaults(other.id).await.unwrap(), [foreign]);

    let replaced = Metadata::parse(json!({"c": null})).unwrap();
    let updated = vaults
        .update_vault_metadata(&operator(), app.id, second.id, replaced.clone())
        .await
        .unwrap();
    assert_eq!(
        (updated.metadata, updated.created_at),
        (replaced, second.created_at)
    );
    assert!(updated.updated_at >= second.updated_at);
}

async fn secrets_are_versioned_and_listed_by_name(store: Arc<dyn Store>) {
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
    assert!(
        vaults
            .delete_secret(&operator(), app.id, vault.id, &name("B"))
            .await
            .unwrap()
    );
    assert!(
        !vaults
            .delete_secret(&operator(), app.id, vault.id, &name("B"))
            .await
            .unwrap()
    );
    assert!(matches!(
        release(&vaults, &app, "B").await,
        Err(ReleaseError::NotFound { .. })
    ));
    let longest = "v".repeat(vault_core::SECRET_VALUE_MAX_BYTES);
    put(&vaults, &app, &vault, "B", &longest).await;
    assert_eq!(release(&vaults, &app, "B").await.unwrap(), longest);
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

async fn designation_decides_what_is_released(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, main) = app_with_vault(&vaults, "Shop").await;
    let (other, _) = app_with_vault(&vaults, "Other").await;
    let spare = vaults
        .create_vault(
            &operator(),
            app.id,
            "spare".parse().unwrap(),
            Metadata::default(),
        )
        .await
        .unwrap();
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

async fn a_deleted_vault_takes_everything_with_it(store: Arc<dyn Store>) {
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
    vaults
        .create_vault(
            &operator(),
            app.id,
            "main".parse().unwrap(),
            Metadata::default(),
        )
        .await
        .unwrap();
}

async fn concurrent_puts_all_count(store: Arc<dyn Store>) {
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

async fn everything_is_audited(store: Arc<dyn Store>) {
    let vaults = open(store).await;
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
                    secret.released secret.deleted vault.updated app.vault_cleared vault.deleted api_key.revoked";
    assert_eq!(actions.join(" "), expected);
    assert_eq!(page.total, 12);
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

async fn the_audit_can_be_queried(store: Arc<dyn Store>) {
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

async fn the_host_records_its_own_and_not_the_vaults(store: Arc<dyn Store>) {
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

async fn without_a_kek_everything_else_works(store: Arc<dyn Store>) {
    let vaults = SecretVaults::open(store, None).await.unwrap();
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    assert_eq!(vaults.kek_state(), KekState::Unset);
    let refused = vaults
        .put_secret(&operator(), app.id, vault.id, &name("A"), &value("v"))
        .await;
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

async fn origins_come_with_the_release(store: Arc<dyn Store>) {
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

async fn a_closed_store_refuses(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, vault) = app_with_vault(&vaults, "Shop").await;
    vaults.close().await.unwrap();
    vaults.close().await.unwrap();
    assert!(matches!(
        vaults.apps().await,
        Err(VaultError::Store(StoreError::Closed))
    ));
    let refused = vaults
        .put_secret(&operator(), app.id, vault.id, &name("A"), &value("v"))
        .await;
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

async fn audit_of(vaults: &SecretVaults, action: &str) -> Vec<vault_core::AuditEntry> {
    let query = AuditQuery {
        action: Some(action.to_owned()),
        ..AuditQuery::default()
    };
    vaults.audit_entries(query).await.unwrap().entries
}
