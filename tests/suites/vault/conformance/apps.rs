//! Apps, API keys and vaults: who owns what, and whose key is accepted.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use vault_core::{Metadata, Store, VaultError, VaultId};

use super::fixture::{audit_of, open};
use crate::fixture::{app_with_vault, name, operator, value};

pub async fn apps_have_unique_slugs(store: Arc<dyn Store>) {
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

pub async fn api_keys_authenticate_until_revoked_or_expired(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, _) = app_with_vault(&vaults, "Shop").await;
    let (other, _) = app_with_vault(&vaults, "Other").await;
    let (view, token) = vaults
        .create_api_key(&operator(), app.id, "ci".parse().unwrap(), None)
        .await
        .unwrap();
    assert_eq!(vaults.authenticate(&token).await.unwrap(), view);
    assert!(token.starts_with(&view.prefix));
    assert_eq!(
        vaults.api_keys(app.id).await.unwrap(),
        std::slice::from_ref(&view)
    );
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

    let at = Timestamp::now() + Duration::from_millis(1500);
    let (_, expiring) = vaults
        .create_api_key(&operator(), app.id, "new".parse().unwrap(), Some(at))
        .await
        .unwrap();
    // On a slow machine the expiry may already be past.
    let accepted = vaults.authenticate(&expiring).await;
    assert!(accepted.is_ok() || Timestamp::now() >= at);
    while Timestamp::now() < at {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(
        vaults.authenticate(&expiring).await,
        Err(VaultError::ApiKeyRefused)
    ));
}

pub async fn a_key_that_would_be_refused_from_the_start_is_not_created(store: Arc<dyn Store>) {
    let vaults = open(store).await;
    let (app, _) = app_with_vault(&vaults, "Shop").await;
    for at in [Timestamp::UNIX_EPOCH, Timestamp::MIN, Timestamp::now()] {
        let refused = vaults
            .create_api_key(&operator(), app.id, "old".parse().unwrap(), Some(at))
            .await;
        assert!(
            matches!(refused, Err(VaultError::ExpiryPast { at: past }) if past <= at),
            "{at}"
        );
    }
    assert_eq!(vaults.api_keys(app.id).await.unwrap(), []);
    assert_eq!(audit_of(&vaults, "api_key.created").await, []);
    let farthest = vaults
        .create_api_key(
            &operator(),
            app.id,
            "new".parse().unwrap(),
            Some(Timestamp::MAX),
        )
        .await;
    assert!(vaults.authenticate(&farthest.unwrap().1).await.is_ok());
}

pub async fn vaults_belong_to_one_app(store: Arc<dyn Store>) {
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
