//! Apps and API keys in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    ask::Ask,
    columns::{column, now_ms, optional_time, time},
    group::{Change, Group},
};
use crate::{
    app::{ApiKeyView, App},
    audit::AuditDraft,
    id::{ApiKeyId, AppId},
    name::AppSlug,
    store::{ApiKeyRow, AppStore, NewApp, StoreError, list::readable},
};

const APPS: &str = "SELECT id, team_id, name, slug, description, created_at, updated_at, vault_id
    FROM apps ORDER BY created_at, id";
const APP: &str = "SELECT id, team_id, name, slug, description, created_at, updated_at, vault_id
    FROM apps WHERE id = $1";
const APP_BY_SLUG: &str =
    "SELECT id, team_id, name, slug, description, created_at, updated_at, vault_id
    FROM apps WHERE slug = $1";
const API_KEYS: &str = "SELECT id, app_id, name, created_at, expires_at, revoked_at, secret_hash
    FROM api_keys WHERE app_id = $1 ORDER BY id";
const API_KEY: &str = "SELECT id, app_id, name, created_at, expires_at, revoked_at, secret_hash
    FROM api_keys WHERE id = $1";

#[async_trait]
impl AppStore for PostgresStore {
    async fn create_app(&self, app: NewApp, entry: AuditDraft) -> Result<App, StoreError> {
        self.writer.change(CreateApp { app, entry }).await
    }

    async fn apps(&self) -> Result<Vec<App>, StoreError> {
        let rows = self.readers.rows(APPS, &[]).await?;
        readable("app", rows.iter().map(app))
    }

    async fn app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let row = self.readers.row(APP, &[&id]).await?;
        row.as_ref().map(app).transpose()
    }

    async fn app_by_slug(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        let row = self.readers.row(APP_BY_SLUG, &[slug]).await?;
        row.as_ref().map(app).transpose()
    }

    async fn create_api_key(&self, key: ApiKeyRow, entry: AuditDraft) -> Result<(), StoreError> {
        self.writer.change(CreateApiKey { key, entry }).await
    }

    async fn api_keys(&self, app_id: AppId) -> Result<Vec<ApiKeyView>, StoreError> {
        let rows = self.readers.rows(API_KEYS, &[&app_id]).await?;
        let view = |row: &Row| api_key(row).map(|key| key.view);
        readable("API key", rows.iter().map(view))
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError> {
        let row = self.readers.row(API_KEY, &[&id]).await?;
        row.as_ref().map(api_key).transpose()
    }

    async fn revoke_api_key(
        &self,
        app_id: AppId,
        id: ApiKeyId,
        entry: AuditDraft,
    ) -> Result<ApiKeyView, StoreError> {
        let revoke = RevokeApiKey { app_id, id, entry };
        self.writer.change(revoke).await
    }
}

struct CreateApp {
    app: NewApp,
    entry: AuditDraft,
}

#[async_trait]
impl Change for CreateApp {
    type Made = App;

    async fn make(&self, group: &mut Group<'_>) -> Result<App, StoreError> {
        let insert =
            "INSERT INTO apps (id, team_id, name, slug, description, created_at, updated_at)
            SELECT $1, id, $2, $3, $4, $5, $5 FROM teams LIMIT 1
            RETURNING id, team_id, name, slug, description, created_at, updated_at, vault_id";
        let NewApp {
            id,
            name,
            slug,
            description,
        } = &self.app;
        let row = group
            .row(insert, &[id, name, slug, description, &now_ms()])
            .await?;
        let row = row.ok_or(StoreError::Damaged { what: "the team" })?;
        group.append(self.entry.clone())?;
        app(&row)
    }
}

struct CreateApiKey {
    key: ApiKeyRow,
    entry: AuditDraft,
}

#[async_trait]
impl Change for CreateApiKey {
    type Made = ();

    async fn make(&self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let insert = "INSERT INTO api_keys (id, app_id, name, secret_hash, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6)";
        let ApiKeyRow { view, secret_hash } = &self.key;
        let created_at = view.created_at.as_millisecond();
        let expires_at = view.expires_at.map(|at| at.as_millisecond());
        let hash = secret_hash.as_slice();
        let values = (&view.id, &view.app_id, &view.name);
        group
            .change(
                insert,
                &[
                    values.0,
                    values.1,
                    values.2,
                    &hash,
                    &created_at,
                    &expires_at,
                ],
            )
            .await?;
        group.append(self.entry.clone())
    }
}

struct RevokeApiKey {
    app_id: AppId,
    id: ApiKeyId,
    entry: AuditDraft,
}

#[async_trait]
impl Change for RevokeApiKey {
    type Made = ApiKeyView;

    fn app(&self) -> Option<AppId> {
        Some(self.app_id)
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<ApiKeyView, StoreError> {
        let update = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $1) WHERE app_id = $2 AND id = $3
            RETURNING id, app_id, name, created_at, expires_at, revoked_at, secret_hash";
        let row = group
            .row(update, &[&now_ms(), &self.app_id, &self.id])
            .await?;
        let row = row.ok_or(StoreError::NotFound)?;
        group.append(self.entry.clone())?;
        Ok(api_key(&row)?.view)
    }
}

fn app(row: &Row) -> Result<App, StoreError> {
    Ok(App {
        id: column(row, 0)?,
        team_id: column(row, 1)?,
        name: column(row, 2)?,
        slug: column(row, 3)?,
        description: column(row, 4)?,
        created_at: time(row, 5)?,
        updated_at: time(row, 6)?,
        vault_id: column(row, 7)?,
    })
}

fn api_key(row: &Row) -> Result<ApiKeyRow, StoreError> {
    let id = column(row, 0)?;
    let view = ApiKeyView {
        id,
        app_id: column(row, 1)?,
        name: column(row, 2)?,
        prefix: crate::token::token_prefix(id),
        created_at: time(row, 3)?,
        expires_at: optional_time(row, 4)?,
        revoked_at: optional_time(row, 5)?,
    };
    let hash: &[u8] = column(row, 6)?;
    let secret_hash = hash
        .try_into()
        .map_err(|_| StoreError::Damaged { what: "a row" })?;
    Ok(ApiKeyRow { view, secret_hash })
}
