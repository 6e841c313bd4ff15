//! Sealed secrets in SQLite, and their release.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    SqliteStore, chain,
    columns::{At, time},
    keks,
    writer::Effect,
};
use crate::{
    audit::{AuditDraft, outcome},
    envelope::{self, PAYLOAD_HEAD_BYTES, SealedSecret, SecretBinding},
    id::{AppId, VaultId},
    key::KekId,
    revision::{Condition, Revision},
    secret::{RedactedSecret, SecretName},
    store::{
        KekRow, PutOutcome, PutSecret, ReleaseRow, SecretHead, SecretStore, StoreError,
        list::readable, release::Found,
    },
};

#[async_trait]
impl SecretStore for SqliteStore {
    async fn secret_head(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
    ) -> Result<Option<SecretHead>, StoreError> {
        let name = name.clone();
        let work = move |tx: &Transaction<'_>| {
            require_vault(tx, app_id, vault_id)?;
            head(tx, vault_id, &name)
        };
        self.readers.read(work).await
    }

    async fn put_secret(
        &self,
        put: PutSecret,
        entry: AuditDraft,
    ) -> Result<PutOutcome, StoreError> {
        // Only an overwrite leaves old ciphertext behind.
        let effect = if put.replaces.is_some() {
            Effect::Erases
        } else {
            Effect::Changes
        };
        self.writer
            .write(effect, move |tx| store(tx, put, entry))
            .await
    }

    async fn secrets(
        &self,
        app_id: AppId,
        vault_id: VaultId,
    ) -> Result<Vec<RedactedSecret>, StoreError> {
        let sql = "SELECT name, kek_id, version, created_at, updated_at, substr(payload, 1, ?) FROM secrets
            WHERE vault_id = ? ORDER BY name";
        let work = move |tx: &Transaction<'_>| {
            require_vault(tx, app_id, vault_id)?;
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map(params![PAYLOAD_HEAD_BYTES, vault_id], |row| {
                Ok(RedactedSecret {
                    vault_id,
                    name: row.get(0)?,
                    kek_id: row.get(1)?,
                    version: row.get(2)?,
                    created_at: time(row, 3)?,
                    updated_at: time(row, 4)?,
                    revision: revision(row, 5)?,
                })
            })?;
            readable("secret", rows)
        };
        self.readers.read(work).await
    }

    async fn delete_secret(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<bool, StoreError> {
        let name = name.clone();
        let work = move |tx: &Connection| {
            require_vault(tx, app_id, vault_id)?;
            condition
                .check::<StoreError>(|| Ok(head(tx, vault_id, &name)?.map(|head| head.revision)))?;
            let delete = "DELETE FROM secrets WHERE vault_id = ? AND name = ?";
            let existed = tx
                .prepare_cached(delete)?
                .execute(params![vault_id, name])?
                == 1;
            chain::append(
                tx,
                if existed {
                    entry
                } else {
                    entry.outcome(outcome::NOT_FOUND)
                },
            )?;
            Ok(existed)
        };
        self.writer.write(Effect::Erases, work).await
    }

    async fn release(
        &self,
        app_id: AppId,
        name: &SecretName,
        entry: AuditDraft,
    ) -> Result<ReleaseRow, StoreError> {
        let name = name.clone();
        self.writer
            .write(Effect::Appends, move |tx| release(tx, app_id, name, entry))
            .await
    }

    async fn keks(&self) -> Result<Vec<KekRow>, StoreError> {
        self.readers.read(|tx| keks::all(tx)).await
    }

    async fn canary(&self, kek_id: KekId) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read(move |tx| keks::canary(tx, kek_id)).await
    }

    async fn register_kek(
        &self,
        kek_id: KekId,
        canary: Vec<u8>,
        readable: Vec<KekId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError> {
        self.writer
            .write(Effect::Changes, move |tx| {
                keks::register(tx, kek_id, &canary, &readable, entry)
            })
            .await
    }

    async fn check_keks(&self, readable: Vec<KekId>) -> Result<(), StoreError> {
        self.readers
            .read(move |tx| keks::check(tx, &readable))
            .await
    }
}

fn require_vault(tx: &Connection, app_id: AppId, vault_id: VaultId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM vaults WHERE id = ? AND app_id = ?";
    Ok(tx
        .prepare_cached(sql)?
        .query_row(params![vault_id, app_id], |_| Ok(()))?)
}

fn head(
    tx: &Connection,
    vault_id: VaultId,
    name: &SecretName,
) -> Result<Option<SecretHead>, StoreError> {
    let sql = "SELECT version, created_at, substr(payload, 1, ?) FROM secrets
        WHERE vault_id = ? AND name = ?";
    let head =
        tx.prepare_cached(sql)?
            .query_row(params![PAYLOAD_HEAD_BYTES, vault_id, name], |row| {
                Ok(SecretHead {
                    version: row.get(0)?,
                    created_at: time(row, 1)?,
                    revision: revision(row, 2)?,
                })
            });
    Ok(head.optional()?)
}

/// The revision of a row, from its payload.
fn revision(row: &Row<'_>, payload: usize) -> rusqlite::Result<Revision> {
    Ok(envelope::revision_of(row.get_ref(payload)?.as_blob()?))
}

fn store(tx: &Connection, put: PutSecret, entry: AuditDraft) -> Result<PutOutcome, StoreError> {
    let SealedSecret {
        binding,
        kek_id,
        wrapped,
        payload,
    } = put.sealed;
    let SecretBinding {
        app_id,
        vault_id,
        name,
        version,
    } = binding;
    require_vault(tx, app_id, vault_id)?;
    let head = head(tx, vault_id, &name)?;
    if head != put.replaces {
        return Ok(PutOutcome::Stale(head));
    }
    // A KEK that wraps nothing yet may be a wrong one that only this process has.
    let first = "SELECT NOT EXISTS (SELECT 1 FROM secrets WHERE kek_id = ?)";
    if tx
        .prepare_cached(first)?
        .query_row([kek_id], |row| row.get(0))?
    {
        keks::check(tx, &put.readable)?;
    }
    let wraps = keks::count_wraps(tx, kek_id, 1)?;
    let updated_at = At::now().0;
    let created_at = head.map_or(updated_at, |head| head.created_at);
    let upsert = "INSERT INTO secrets (vault_id, name, version, kek_id, created_at, updated_at, wrapped, payload)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (vault_id, name) DO UPDATE SET version = excluded.version,
        kek_id = excluded.kek_id, updated_at = excluded.updated_at, wrapped = excluded.wrapped, payload = excluded.payload";
    let times = (At(created_at), At(updated_at));
    tx.prepare_cached(upsert)?.execute(params![
        vault_id, name, version, kek_id, times.0, times.1, wrapped, payload
    ])?;
    chain::append(tx, entry)?;
    let revision = envelope::revision_of(&payload);
    let view = RedactedSecret {
        vault_id,
        name,
        kek_id,
        version,
        created_at,
        updated_at,
        revision,
    };
    Ok(PutOutcome::Stored { view, wraps })
}

fn release(
    tx: &Connection,
    app_id: AppId,
    name: SecretName,
    entry: AuditDraft,
) -> Result<ReleaseRow, StoreError> {
    let (entry, row) = found(tx, app_id, &name)?.recorded(app_id, name, entry);
    chain::append(tx, entry)?;
    Ok(row)
}

fn found(tx: &Connection, app_id: AppId, name: &SecretName) -> Result<Found, StoreError> {
    // Only tampering makes an app designate another app's vault. Such a designation counts as none.
    let designated =
        "SELECT v.id, v.metadata FROM apps a JOIN vaults v ON v.id = a.vault_id AND v.app_id = a.id
        WHERE a.id = ?";
    let designated = tx
        .prepare_cached(designated)?
        .query_row([app_id], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((vault_id, metadata)) = designated.optional()? else {
        return Ok(Found::NoVaultDesignated);
    };
    let secret =
        "SELECT version, kek_id, wrapped, payload FROM secrets WHERE vault_id = ? AND name = ?";
    let secret = tx
        .prepare_cached(secret)?
        .query_row(params![vault_id, name], |row| {
            Ok(Found::Secret {
                vault_id,
                metadata,
                version: row.get(0)?,
                kek_id: row.get(1)?,
                wrapped: row.get(2)?,
                payload: row.get(3)?,
            })
        });
    Ok(secret.optional()?.unwrap_or(Found::NoSecret { vault_id }))
}
