//! Apps and their API keys.
//!
//! An API key decides which app a request belongs to. The host decides what the app may do.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{SecretVaults, VaultError, error::not_found};
use crate::{
    app::{ApiKeyView, App},
    audit::{AuditDraft, Caller, Subject, action, subject_kind},
    id::{ApiKeyId, AppId},
    name::{ApiKeyName, AppName, AppSlug},
    store::{ApiKeyRow, NewApp, StoreError},
    token,
};

impl SecretVaults {
    /// Creates an app. Without a slug, the app gets one derived from its name.
    ///
    /// # Errors
    /// [`VaultError::AppSlugTaken`], or no slug can be made.
    pub async fn create_app(
        &self,
        caller: &Caller,
        name: AppName,
        slug: Option<AppSlug>,
        description: Option<String>,
    ) -> Result<App, VaultError> {
        let slug = slug.map_or_else(|| AppSlug::derive(&name), Ok)?;
        let app = NewApp {
            id: AppId::make(),
            name,
            slug: slug.clone(),
            description: description.unwrap_or_default(),
        };
        let entry = AuditDraft::new(caller, action::APP_CREATED)
            .app(app.id)
            .about(Subject::new(subject_kind::APP, app.id));
        self.0
            .store
            .create_app(app, entry.detail("slug", slug.as_str()))
            .await
            .map_err(|error| match error {
                StoreError::Taken => VaultError::AppSlugTaken { slug },
                other => other.into(),
            })
    }

    /// All apps, oldest first.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn apps(&self) -> Result<Vec<App>, VaultError> {
        Ok(self.0.store.apps().await?)
    }

    /// Finds an app by its id.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn app(&self, id: AppId) -> Result<App, VaultError> {
        self.0
            .store
            .app(id)
            .await?
            .ok_or(VaultError::NotFound { what: "app" })
    }

    /// Finds an app by its slug.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn app_by_slug(&self, slug: &AppSlug) -> Result<App, VaultError> {
        self.0
            .store
            .app_by_slug(slug)
            .await?
            .ok_or(VaultError::NotFound { what: "app" })
    }

    /// Creates an API key. The token is returned once and never again; only its digest is stored.
    ///
    /// # Errors
    /// The app does not exist, or [`VaultError::ExpiryPast`].
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        app_id: AppId,
        name: ApiKeyName,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiKeyView, Zeroizing<String>), VaultError> {
        let id = ApiKeyId::make();
        let (token, secret_hash) = token::make_token(id);
        let created_at = milliseconds(Timestamp::now());
        let (prefix, expires_at) = (token::token_prefix(id), expires_at.map(milliseconds));
        if let Some(at) = expires_at.filter(|at| *at <= created_at) {
            return Err(VaultError::ExpiryPast { at });
        }
        let view = ApiKeyView {
            id,
            app_id,
            name,
            prefix,
            created_at,
            expires_at,
            revoked_at: None,
        };
        let entry = AuditDraft::new(caller, action::API_KEY_CREATED)
            .app(app_id)
            .about(Subject::new(subject_kind::API_KEY, id));
        let row = ApiKeyRow {
            view: view.clone(),
            secret_hash,
        };
        self.0
            .store
            .create_api_key(row, entry)
            .await
            .map_err(not_found("app"))?;
        Ok((view, token))
    }

    /// An app's API keys, oldest first.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn api_keys(&self, app_id: AppId) -> Result<Vec<ApiKeyView>, VaultError> {
        Ok(self.0.store.api_keys(app_id).await?)
    }

    /// Revokes an API key for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// The app has no such key.
    pub async fn revoke_api_key(
        &self,
        caller: &Caller,
        app_id: AppId,
        id: ApiKeyId,
    ) -> Result<ApiKeyView, VaultError> {
        let entry = AuditDraft::new(caller, action::API_KEY_REVOKED)
            .app(app_id)
            .about(Subject::new(subject_kind::API_KEY, id));
        self.0
            .store
            .revoke_api_key(app_id, id, entry)
            .await
            .map_err(not_found("API key"))
    }

    /// Finds the API key of a token.
    ///
    /// # Errors
    /// [`VaultError::ApiKeyRefused`], whatever is wrong with the token.
    pub async fn authenticate(&self, token: &str) -> Result<ApiKeyView, VaultError> {
        let (id, secret_hash) = token::parse_token(token).ok_or(VaultError::ApiKeyRefused)?;
        let row = self
            .0
            .store
            .api_key(id)
            .await?
            .ok_or(VaultError::ApiKeyRefused)?;
        let now = Timestamp::now();
        let expired = row.view.expires_at.is_some_and(|at| at <= now);
        if token::matches(&row.secret_hash, &secret_hash)
            && row.view.revoked_at.is_none()
            && !expired
        {
            Ok(row.view)
        } else {
            Err(VaultError::ApiKeyRefused)
        }
    }
}

/// Cuts a time to the precision in which times are stored, so that the returned value is what is
/// read later. The last second of time has no milliseconds that could be read back.
fn milliseconds(at: Timestamp) -> Timestamp {
    let last = Timestamp::MAX.as_second() * 1000;
    Timestamp::from_millisecond(at.as_millisecond().min(last))
        .expect("a time is one without its microseconds too")
}
