//! Apps and API keys in SQLite.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};

use super::{
    SqliteStore, chain,
    columns::{At, optional_time, time},
    writer::Effect,
};
use crate::{
    app::{ApiKeyView, App},
    audit::AuditDraft,
    id::{ApiKeyId, AppId},
    name::AppSlug,
    store::{ApiKeyRow, AppStore, NewApp, StoreError, list::readable},
};

const APP: &str =
    "SELECT id, team_id, name, slug, description, created_at, updated_at, vault_id FROM apps";
const API_KEY: &str =
    "SELECT id, app_id, name, created_at, expires_at, revoked_at, secret_hash FROM api_keys";

#[async_trait]
impl AppStore for SqliteStore {
    async fn create_app(&self, new: NewApp, entry: AuditDraft) -> Result<App, StoreError> {
        let insert =
            "INSERT INTO apps (id, team_id, name, slug, description, created_at, updated_at)
            SELECT ?1, id, ?2, ?3, ?4, ?5, ?5 FROM teams LIMIT 1";
        let work = move |tx: &rusqlite::Connection| {
            tx.execute(
                insert,
                params![new.id, new.name, new.slug, new.description, At::now()],
            )?;
            chain::append(tx, entry)?;
            Ok(tx.query_row(&format!("{APP} WHERE id = ?"), [new.id], app)?)
        };
        self.writer.write(Effect::Changes, work).await
    }

    async fn apps(&self) -> Result<Vec<App>, StoreError> {
        let work = |tx: &rusqlite::Transaction<'_>| {
            readable(
                "app",
                tx.prepare_cached(&format!("{APP} ORDER BY created_at, id"))?
                    .query_map([], app)?,
            )
        };
        self.readers.read(work).await
    }

    async fn app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = format!("{APP} WHERE id = ?");
        self.readers
            .read(move |tx| Ok(tx.prepare_cached(&sql)?.query_row([id], app).optional()?))
            .await
    }

    async fn app_by_slug(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        let (sql, slug) = (format!("{APP} WHERE slug = ?"), slug.clone());
        self.readers
            .read(move |tx| Ok(tx.prepare_cached(&sql)?.query_row([slug], app).optional()?))
            .await
    }

    async fn create_api_key(&self, key: ApiKeyRow, entry: AuditDraft) -> Result<(), StoreError> {
        let insert = "INSERT INTO api_keys (id, app_id, name, secret_hash, created_at, expires_at)
            VALUES (?, ?, ?, ?, ?, ?)";
        let work = move |tx: &rusqlite::Connection| {
            let ApiKeyRow { view, secret_hash } = key;
            let (created_at, expires_at) = (At(view.created_at), view.expires_at.map(At));
            tx.execute(
                insert,
                params![
                    view.id,
                    view.app_id,
                    view.name,
                    secret_hash,
                    created_at,
                    expires_at
                ],
            )?;
            chain::append(tx, entry)?;
            Ok(())
        };
        self.writer.write(Effect::Changes, work).await
    }

    async fn api_keys(&self, app_id: AppId) -> Result<Vec<ApiKeyView>, StoreError> {
        let sql = format!("{API_KEY} WHERE app_id = ? ORDER BY id");
        let work = move |tx: &rusqlite::Transaction<'_>| {
            readable(
                "API key",
                tx.prepare_cached(&sql)?.query_map([app_id], api_key)?,
            )
        };
        Ok(self
            .readers
            .read(work)
            .await?
            .into_iter()
            .map(|row| row.view)
            .collect())
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError> {
        let sql = format!("{API_KEY} WHERE id = ?");
        self.readers
            .read(move |tx| {
                Ok(tx
                    .prepare_cached(&sql)?
                    .query_row([id], api_key)
                    .optional()?)
            })
            .await
    }

    async fn revoke_api_key(
        &self,
        app_id: AppId,
        id: ApiKeyId,
        entry: AuditDraft,
    ) -> Result<ApiKeyView, StoreError> {
        let update =
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE app_id = ? AND id = ?";
        let work = move |tx: &rusqlite::Connection| {
            if tx.execute(update, params![At::now(), app_id, id])? == 0 {
                return Err(StoreError::NotFound);
            }
            chain::append(tx, entry)?;
            Ok(tx
                .query_row(&format!("{API_KEY} WHERE id = ?"), [id], api_key)?
                .view)
        };
        self.writer.write(Effect::Changes, work).await
    }
}

fn app(row: &Row<'_>) -> rusqlite::Result<App> {
    Ok(App {
        id: row.get(0)?,
        team_id: row.get(1)?,
        name: row.get(2)?,
        slug: row.get(3)?,
        description: row.get(4)?,
        created_at: time(row, 5)?,
        updated_at: time(row, 6)?,
        vault_id: row.get(7)?,
    })
}

fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKeyRow> {
    let id = row.get(0)?;
    let view = ApiKeyView {
        id,
        app_id: row.get(1)?,
        name: row.get(2)?,
        prefix: crate::token::token_prefix(id),
        created_at: time(row, 3)?,
        expires_at: optional_time(row, 4)?,
        revoked_at: optional_time(row, 5)?,
    };
    Ok(ApiKeyRow {
        view,
        secret_hash: row.get(6)?,
    })
}
