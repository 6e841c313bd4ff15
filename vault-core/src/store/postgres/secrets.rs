//! Sealed secrets in PostgreSQL, and their release.

use async_trait::async_trait;
use futures::future::{join, try_join};
use tokio_postgres::Row;

use super::{
    PostgresStore,
    ask::{Ask, Param},
    columns::{column, count, now_ms, signed, time},
    group::{Change, Group},
    keks,
};
use crate::{
    audit::{AuditDraft, outcome},
    envelope::{self, PAYLOAD_HEAD_BYTES, SealedSecret, SecretBinding},
    id::{AppId, VaultId},
    key::KekId,
    revision::Condition,
    secret::{RedactedSecret, SecretName},
    store::{
        KekRow, PutOutcome, PutSecret, ReleaseRow, SecretHead, SecretStore, StoreError,
        list::readable,
    },
};

/// Finds a vault of an app, and in the same row its secret of this name if there is one.
const HEAD: &str = "SELECT s.version, s.created_at, substr(s.payload, 1, $4)
    FROM vaults v LEFT JOIN secrets s ON s.vault_id = v.id AND s.name = $3
    WHERE v.id = $1 AND v.app_id = $2";

/// Finds a vault of an app with all its secrets.
const SECRETS: &str =
    "SELECT s.version, s.created_at, substr(s.payload, 1, $3), s.name, s.kek_id, s.updated_at
    FROM vaults v LEFT JOIN secrets s ON s.vault_id = v.id
    WHERE v.id = $1 AND v.app_id = $2 ORDER BY s.name COLLATE \"C\"";

const HEAD_BYTES: i32 = PAYLOAD_HEAD_BYTES as i32;

#[async_trait]
impl SecretStore for PostgresStore {
    async fn secret_head(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
    ) -> Result<Option<SecretHead>, StoreError> {
        let row = self
            .readers
            .row(HEAD, &[&vault_id, &app_id, name, &HEAD_BYTES])
            .await?;
        head(&row.ok_or(StoreError::NotFound)?)
    }

    async fn put_secret(
        &self,
        put: PutSecret,
        entry: AuditDraft,
    ) -> Result<PutOutcome, StoreError> {
        self.writer.change(Put { put, entry }).await
    }

    async fn secrets(
        &self,
        app_id: AppId,
        vault_id: VaultId,
    ) -> Result<Vec<RedactedSecret>, StoreError> {
        let rows = self
            .readers
            .rows(SECRETS, &[&vault_id, &app_id, &HEAD_BYTES])
            .await?;
        let Some(first) = rows.first() else {
            return Err(StoreError::NotFound);
        };
        // This is the row of a vault without secrets.
        if column::<Option<i64>>(first, 0)?.is_none() {
            return Ok(Vec::new());
        }
        let secret = |row: &Row| -> Result<RedactedSecret, StoreError> {
            let head = head(row)?.ok_or(StoreError::NotFound)?;
            Ok(RedactedSecret {
                vault_id,
                name: column(row, 3)?,
                kek_id: column(row, 4)?,
                version: head.version,
                created_at: head.created_at,
                updated_at: time(row, 5)?,
                revision: head.revision,
            })
        };
        readable("secret", rows.iter().map(secret))
    }

    async fn delete_secret(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<bool, StoreError> {
        let delete = Delete {
            app_id,
            vault_id,
            name: name.clone(),
            condition,
            entry,
        };
        self.writer.change(delete).await
    }

    async fn release(
        &self,
        app_id: AppId,
        name: &SecretName,
        entry: AuditDraft,
    ) -> Result<ReleaseRow, StoreError> {
        let release = Release {
            app_id,
            name: name.clone(),
            entry,
        };
        self.writer.change(release).await
    }

    async fn keks(&self) -> Result<Vec<KekRow>, StoreError> {
        keks::all(&self.readers).await
    }

    async fn canary(&self, kek_id: KekId) -> Result<Option<Vec<u8>>, StoreError> {
        keks::canary(&self.readers, kek_id).await
    }

    async fn register_kek(
        &self,
        kek_id: KekId,
        canary: Vec<u8>,
        readable: Vec<KekId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError> {
        let register = keks::Register {
            kek_id,
            canary,
            readable,
            entry,
        };
        self.writer.change(register).await
    }

    async fn check_keks(&self, readable: Vec<KekId>) -> Result<(), StoreError> {
        keks::check(&self.readers, &readable).await
    }
}

struct Put {
    put: PutSecret,
    entry: AuditDraft,
}

#[async_trait]
impl Change for Put {
    type Made = PutOutcome;

    fn app(&self) -> Option<AppId> {
        Some(self.put.sealed.binding.app_id)
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<PutOutcome, StoreError> {
        let SealedSecret {
            binding,
            kek_id,
            wrapped,
            payload,
        } = &self.put.sealed;
        let SecretBinding {
            app_id,
            vault_id,
            name,
            version,
        } = binding;
        let (kek_id, vault_id, version) = (*kek_id, *vault_id, *version);
        let (row, wraps_any) = try_join(
            group.row(HEAD, &[&vault_id, app_id, name, &HEAD_BYTES]),
            keks::wraps_any(group, kek_id),
        )
        .await?;
        let head = head(&row.ok_or(StoreError::NotFound)?)?;
        if head != self.put.replaces {
            return Ok(PutOutcome::Stale(head));
        }
        // A KEK that wraps nothing yet may be a wrong one that only this process has.
        if !wraps_any {
            keks::check_alone(group, &self.put.readable).await?;
        }
        let updated_ms = now_ms();
        let created_ms = head.map_or(updated_ms, |head| head.created_at.as_millisecond());
        let upsert = "INSERT INTO secrets (vault_id, name, version, kek_id, created_at, updated_at, wrapped, payload)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (vault_id, name) DO UPDATE SET version = excluded.version,
            kek_id = excluded.kek_id, updated_at = excluded.updated_at, wrapped = excluded.wrapped,
            payload = excluded.payload RETURNING created_at, updated_at";
        let stored = signed(version)?;
        let params: [Param<'_>; 8] = [
            &vault_id,
            name,
            &stored,
            &kek_id,
            &created_ms,
            &updated_ms,
            wrapped,
            payload,
        ];
        let counted = keks::count_wraps(group, kek_id, 1);
        let (wraps, row) = join(counted, group.row(upsert, &params)).await;
        // Report the unknown KEK first: it explains why no row can name it.
        let wraps = wraps?;
        let row = row?.ok_or(StoreError::NotFound)?;
        group.append(self.entry.clone())?;
        let view = RedactedSecret {
            vault_id,
            name: name.clone(),
            kek_id,
            version,
            created_at: time(&row, 0)?,
            updated_at: time(&row, 1)?,
            revision: envelope::revision_of(payload),
        };
        Ok(PutOutcome::Stored { view, wraps })
    }
}

struct Delete {
    app_id: AppId,
    vault_id: VaultId,
    name: SecretName,
    condition: Condition,
    entry: AuditDraft,
}

#[async_trait]
impl Change for Delete {
    type Made = bool;

    fn app(&self) -> Option<AppId> {
        Some(self.app_id)
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<bool, StoreError> {
        let row = group
            .row(
                HEAD,
                &[&self.vault_id, &self.app_id, &self.name, &HEAD_BYTES],
            )
            .await?
            .ok_or(StoreError::NotFound)?;
        self.condition
            .check::<StoreError>(|| Ok(head(&row)?.map(|head| head.revision)))?;
        let delete = "DELETE FROM secrets WHERE vault_id = $1 AND name = $2";
        let existed = group.change(delete, &[&self.vault_id, &self.name]).await? == 1;
        let entry = self.entry.clone();
        group.append(match existed {
            true => entry,
            false => entry.outcome(outcome::NOT_FOUND),
        })?;
        Ok(existed)
    }
}

struct Release {
    app_id: AppId,
    name: SecretName,
    entry: AuditDraft,
}

#[async_trait]
impl Change for Release {
    type Made = ReleaseRow;

    fn released(&self) -> Option<(AppId, &SecretName)> {
        Some((self.app_id, &self.name))
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<ReleaseRow, StoreError> {
        let found = group.found(self.app_id, &self.name)?;
        let (entry, row) = found.recorded(self.app_id, self.name.clone(), self.entry.clone());
        group.append(entry)?;
        Ok(row)
    }
}

/// The secret in a row of [`HEAD`] or [`SECRETS`]; `None` for a row without one.
fn head(row: &Row) -> Result<Option<SecretHead>, StoreError> {
    if column::<Option<i64>>(row, 0)?.is_none() {
        return Ok(None);
    }
    Ok(Some(SecretHead {
        version: count(row, 0)?,
        created_at: time(row, 1)?,
        revision: envelope::revision_of(column(row, 2)?),
    }))
}
