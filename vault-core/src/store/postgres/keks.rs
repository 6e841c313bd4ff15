//! The KEKs that a PostgreSQL database knows, and those that its secrets need. Moving secrets is in
//! `rewrap`.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    ask::{Ask, Param},
    columns::{column, count, now_ms},
    group::{Change, Group},
};
use crate::{
    audit::AuditDraft,
    key::KekId,
    store::{KekRow, StoreError, list::readable},
};

/// All registered KEKs, then those that only rows name. Only tampering leads to the latter.
pub(super) async fn all(database: &impl Ask) -> Result<Vec<KekRow>, StoreError> {
    let sql = "SELECT coalesce(k.id, used.kek_id), k.canary, coalesce(used.secrets, 0),
            coalesce((SELECT sum(wraps) FROM kek_wraps w WHERE w.kek_id = k.id), 0)::bigint
        FROM keks k FULL JOIN (SELECT kek_id, count(*) AS secrets FROM secrets GROUP BY kek_id) used
        ON used.kek_id = k.id ORDER BY k.created_at NULLS LAST, 1";
    let kek = |row: &Row| -> Result<KekRow, StoreError> {
        Ok(KekRow {
            kek_id: column(row, 0)?,
            canary: column(row, 1)?,
            rows: count(row, 2)?,
            wraps: count(row, 3)?,
        })
    };
    readable("KEK", database.rows(sql, &[]).await?.iter().map(kek))
}

pub(super) async fn canary(
    database: &impl Ask,
    kek_id: KekId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT canary FROM keks WHERE id = $1";
    let row = database.row(sql, &[&kek_id]).await?;
    row.map(|row| column(&row, 0)).transpose()
}

pub(super) async fn wraps_any(database: &impl Ask, kek_id: KekId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM secrets WHERE kek_id = $1 LIMIT 1";
    Ok(database.row(sql, &[&kek_id]).await?.is_some())
}

/// Refuses KEKs of which none has wrapped any secret here, unless there are no secrets. A known KEK
/// that wraps nothing does not count.
pub(super) async fn check(database: &impl Ask, readable: &[KekId]) -> Result<(), StoreError> {
    for kek_id in readable {
        if wraps_any(database, *kek_id).await? {
            return Ok(());
        }
    }
    let needed = "SELECT kek_id, count(*) FROM secrets GROUP BY kek_id ORDER BY count(*) DESC, kek_id LIMIT 1";
    match database.row(needed, &[]).await? {
        Some(row) => Err(StoreError::KekMismatch {
            wanted: column(&row, 0)?,
            rows: count(&row, 1)?,
        }),
        None => Ok(()),
    }
}

/// Checks as [`check`] does, before a first secret is wrapped with a KEK. The lock keeps other
/// hosts from the same at the same time.
pub(super) async fn check_alone(group: &Group<'_>, readable: &[KekId]) -> Result<(), StoreError> {
    group
        .rows("SELECT 1 FROM teams FOR NO KEY UPDATE", &[])
        .await?;
    check(group, readable).await
}

/// Adds to this host's count of wraps and returns the count of all hosts.
pub(super) async fn count_wraps(
    group: &Group<'_>,
    kek_id: KekId,
    more: i64,
) -> Result<u64, StoreError> {
    let sql = "WITH counted AS (
            INSERT INTO kek_wraps (kek_id, host, wraps) SELECT id, $2, $3 FROM keks WHERE id = $1
            ON CONFLICT (kek_id, host) DO UPDATE SET wraps = kek_wraps.wraps + excluded.wraps RETURNING wraps)
        SELECT (counted.wraps + coalesce((SELECT sum(wraps) FROM kek_wraps WHERE kek_id = $1 AND host <> $2), 0))::bigint
        FROM counted";
    let row = group.row(sql, &[&kek_id, &group.host(), &more]).await?;
    count(&row.ok_or(StoreError::UnknownKek { kek_id })?, 0)
}

/// Makes a KEK known with its canary. A known KEK stays as it is.
pub(super) struct Register {
    pub(super) kek_id: KekId,
    pub(super) canary: Vec<u8>,
    pub(super) readable: Vec<KekId>,
    pub(super) entry: AuditDraft,
}

#[async_trait]
impl Change for Register {
    type Made = ();

    async fn make(&self, group: &mut Group<'_>) -> Result<(), StoreError> {
        check_alone(group, &self.readable).await?;
        let insert = "INSERT INTO keks (id, canary, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
        let params: [Param<'_>; 3] = [&self.kek_id, &self.canary, &now_ms()];
        match group.change(insert, &params).await? {
            0 => Ok(()),
            _ => group.append(self.entry.clone()),
        }
    }
}

/// Forgets a KEK that wraps nothing.
pub(super) struct Retire {
    pub(super) kek_id: KekId,
    pub(super) entry: AuditDraft,
}

#[async_trait]
impl Change for Retire {
    type Made = ();

    async fn make(&self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let kek_id = self.kek_id;
        // A process that stores a secret with this KEK meanwhile waits for the lock, and then finds
        // the KEK gone.
        let known = "SELECT 1 FROM keks WHERE id = $1 FOR UPDATE";
        let known = group.row(known, &[&kek_id]).await?;
        let rows = "SELECT count(*) FROM secrets WHERE kek_id = $1";
        let rows = group.row(rows, &[&kek_id]).await?;
        let rows = rows.map_or(Ok(0), |row| count(&row, 0))?;
        if rows > 0 {
            return Err(StoreError::KekInUse { kek_id, rows });
        }
        known.ok_or(StoreError::UnknownKek { kek_id })?;
        let wraps = "SELECT coalesce(sum(wraps), 0)::bigint FROM kek_wraps WHERE kek_id = $1";
        let wraps = group.row(wraps, &[&kek_id]).await?;
        let wraps = wraps.map_or(Ok(0), |row| count(&row, 0))?;
        let delete = "DELETE FROM keks WHERE id = $1";
        group.change(delete, &[&kek_id]).await?;
        group.append(self.entry.clone().detail("wraps", wraps))
    }
}
