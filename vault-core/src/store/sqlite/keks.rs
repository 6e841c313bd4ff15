//! The KEKs that a SQLite database knows, and those that its secrets need. Moving secrets is in
//! `rewrap`.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{chain, columns::At};
use crate::{
    audit::AuditDraft,
    key::KekId,
    store::{KekRow, StoreError, list::readable},
};

/// All registered KEKs, then those that only rows name. Only tampering leads to the latter.
pub(super) fn all(tx: &Connection) -> Result<Vec<KekRow>, StoreError> {
    let mut statement = tx.prepare("SELECT kek_id, count(*) FROM secrets GROUP BY kek_id")?;
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut counts: BTreeMap<KekId, u64> =
        readable("KEK of secrets", counts)?.into_iter().collect();
    let mut statement = tx.prepare("SELECT id, canary, wraps FROM keks ORDER BY created_at, id")?;
    let registered = statement.query_map([], |row| {
        Ok(KekRow {
            kek_id: row.get(0)?,
            canary: row.get(1)?,
            wraps: row.get(2)?,
            rows: 0,
        })
    })?;
    let mut keks = readable("KEK", registered)?;
    for kek in &mut keks {
        kek.rows = counts.remove(&kek.kek_id).unwrap_or(0);
    }
    keks.extend(counts.into_iter().map(|(kek_id, rows)| KekRow {
        kek_id,
        canary: None,
        wraps: 0,
        rows,
    }));
    Ok(keks)
}

pub(super) fn canary(tx: &Connection, kek_id: KekId) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(tx
        .query_row("SELECT canary FROM keks WHERE id = ?", [kek_id], |row| {
            row.get(0)
        })
        .optional()?)
}

/// Makes a KEK known with its canary. A known KEK stays as it is.
pub(super) fn register(
    tx: &Connection,
    kek_id: KekId,
    canary: &[u8],
    readable: &[KekId],
    entry: AuditDraft,
) -> Result<(), StoreError> {
    check(tx, readable)?;
    let insert = "INSERT OR IGNORE INTO keks (id, canary, wraps, created_at) VALUES (?, ?, 0, ?)";
    if tx.execute(insert, params![kek_id, canary, At::now()])? == 1 {
        chain::append(tx, entry)?;
    }
    Ok(())
}

/// Refuses KEKs of which none has wrapped any secret here, unless there are no secrets. A known KEK
/// that wraps nothing does not count.
pub(super) fn check(tx: &Connection, readable: &[KekId]) -> Result<(), StoreError> {
    let mut wraps_any =
        tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM secrets WHERE kek_id = ?)")?;
    for kek_id in readable {
        if wraps_any.query_row([kek_id], |row| row.get(0))? {
            return Ok(());
        }
    }
    let needed = "SELECT kek_id, count(*) FROM secrets GROUP BY kek_id ORDER BY count(*) DESC, kek_id LIMIT 1";
    let needed = tx
        .query_row(needed, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match needed {
        Some((wanted, rows)) => Err(StoreError::KekMismatch { wanted, rows }),
        None => Ok(()),
    }
}

/// Adds to the count of wraps and returns the new count.
pub(super) fn count_wraps(tx: &Connection, kek_id: KekId, more: usize) -> Result<u64, StoreError> {
    let update = "UPDATE keks SET wraps = wraps + ? WHERE id = ? RETURNING wraps";
    tx.prepare_cached(update)?
        .query_row(params![more, kek_id], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownKek { kek_id })
}

/// Forgets a KEK that wraps nothing.
pub(super) fn retire(tx: &Connection, kek_id: KekId, entry: AuditDraft) -> Result<(), StoreError> {
    let rows = "SELECT count(*) FROM secrets WHERE kek_id = ?";
    let rows = tx.query_row(rows, [kek_id], |row| row.get(0))?;
    if rows > 0 {
        return Err(StoreError::KekInUse { kek_id, rows });
    }
    let delete = "DELETE FROM keks WHERE id = ? RETURNING wraps";
    let wraps: u64 = tx
        .query_row(delete, [kek_id], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownKek { kek_id })?;
    chain::append(tx, entry.detail("wraps", wraps))
}
