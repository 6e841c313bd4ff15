//! Vaults and designations in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    SqliteStore, chain,
    columns::{At, time},
    writer::Effect,
};
use crate::{
    app::VaultView,
    audit::AuditDraft,
    id::{AppId, VaultId},
    metadata::Metadata,
    name::VaultName,
    revision::Condition,
    store::{NewVault, StoreError, VaultStore, list::readable},
};

const VAULT: &str = "SELECT id, app_id, name, metadata, created_at, updated_at FROM vaults";

#[async_trait]
impl VaultStore for SqliteStore {
    async fn create_vault(
        &self,
        new: NewVault,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError> {
        let insert = "INSERT INTO vaults (id, app_id, name, metadata, created_at, updated_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
        let work = move |tx: &Connection| {
            if tx
                .query_row("SELECT 1 FROM apps WHERE id = ?", [new.app_id], |_| Ok(()))
                .optional()?
                .is_none()
            {
                return Err(StoreError::NotFound);
            }
            tx.execute(
                insert,
                params![new.id, new.app_id, new.name, new.metadata, At::now()],
            )?;
            chain::append(tx, entry)?;
            one(tx, new.app_id, new.id)?.ok_or(StoreError::NotFound)
        };
        self.writer.write(Effect::Changes, work).await
    }

    async fn vaults(&self, app_id: AppId) -> Result<Vec<VaultView>, StoreError> {
        let sql = format!("{VAULT} WHERE app_id = ? ORDER BY created_at, id");
        let work = move |tx: &Transaction<'_>| {
            readable(
                "vault",
                tx.prepare_cached(&sql)?.query_map([app_id], vault)?,
            )
        };
        self.readers.read(work).await
    }

    async fn vault(&self, app_id: AppId, id: VaultId) -> Result<Option<VaultView>, StoreError> {
        self.readers.read(move |tx| one(tx, app_id, id)).await
    }

    async fn vault_by_name(
        &self,
        app_id: AppId,
        name: &VaultName,
    ) -> Result<Option<VaultView>, StoreError> {
        let (sql, name) = (
            format!("{VAULT} WHERE app_id = ? AND name = ?"),
            name.clone(),
        );
        let work = move |tx: &Transaction<'_>| {
            Ok(tx
                .prepare_cached(&sql)?
                .query_row(params![app_id, name], vault)
                .optional()?)
        };
        self.readers.read(work).await
    }

    async fn update_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        metadata: Metadata,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError> {
        let update = "UPDATE vaults SET metadata = ?, updated_at = ? WHERE app_id = ? AND id = ?";
        let work = move |tx: &Connection| {
            check(tx, app_id, id, &condition)?;
            tx.execute(update, params![metadata, At::now(), app_id, id])?;
            let vault = one(tx, app_id, id)?.ok_or(StoreError::NotFound)?;
            chain::append(tx, entry)?;
            Ok(vault)
        };
        self.writer.write(Effect::Changes, work).await
    }

    async fn delete_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<u64, StoreError> {
        let work = move |tx: &Connection| {
            check(tx, app_id, id, &condition)?;
            let secrets = "SELECT count(*) FROM secrets WHERE vault_id = ?";
            let secrets: u64 = tx.query_row(secrets, [id], |row| row.get(0))?;
            let clear =
                "UPDATE apps SET vault_id = NULL, updated_at = ? WHERE id = ? AND vault_id = ?";
            tx.execute(clear, params![At::now(), app_id, id])?;
            // The vault's secrets are deleted with it: ON DELETE CASCADE.
            if tx.execute(
                "DELETE FROM vaults WHERE app_id = ? AND id = ?",
                params![app_id, id],
            )? == 0
            {
                return Err(StoreError::NotFound);
            }
            chain::append(tx, entry.detail("secrets", secrets))?;
            Ok(secrets)
        };
        self.writer.write(Effect::Erases, work).await
    }

    async fn designate(
        &self,
        app_id: AppId,
        vault_id: Option<VaultId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError> {
        let update = "UPDATE apps SET vault_id = ?1, updated_at = ?2 WHERE id = ?3
            AND (?1 IS NULL OR EXISTS (SELECT 1 FROM vaults WHERE id = ?1 AND app_id = ?3))";
        let work = move |tx: &Connection| {
            if tx.execute(update, params![vault_id, At::now(), app_id])? == 0 {
                return Err(StoreError::NotFound);
            }
            chain::append(tx, entry)?;
            Ok(())
        };
        self.writer.write(Effect::Changes, work).await
    }
}

fn one(tx: &Connection, app_id: AppId, id: VaultId) -> Result<Option<VaultView>, StoreError> {
    let sql = format!("{VAULT} WHERE app_id = ? AND id = ?");
    Ok(tx
        .prepare_cached(&sql)?
        .query_row(params![app_id, id], vault)
        .optional()?)
}

/// Checks the condition. A missing vault is reported as missing, not as a failed condition.
fn check(
    tx: &Connection,
    app_id: AppId,
    id: VaultId,
    condition: &Condition,
) -> Result<(), StoreError> {
    condition.check(|| {
        let vault = one(tx, app_id, id)?.ok_or(StoreError::NotFound)?;
        Ok(Some(vault.revision()))
    })
}

fn vault(row: &Row<'_>) -> rusqlite::Result<VaultView> {
    let app_id = row.get(1)?;
    Ok(VaultView {
        id: row.get(0)?,
        app_id,
        project_id: app_id,
        name: row.get(2)?,
        metadata: row.get(3)?,
        created_at: time(row, 4)?,
        updated_at: time(row, 5)?,
    })
}
