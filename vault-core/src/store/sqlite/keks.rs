//! Which KEKs a SQLite database knows, and which of them its secrets need.

use rusqlite::{Connection, OptionalExtension, params};

use super::{chain, columns::At};
use crate::{
    audit::AuditDraft,
    key::KekId,
    store::{KekRow, StoreError},
};

pub(super) fn all(tx: &Connection) -> Result<Vec<KekRow>, StoreError> {
    let mut statement = tx.prepare(
        "SELECT id, canary, wraps, (SELECT count(*) FROM secrets WHERE kek_id = keks.id)
         FROM keks ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(KekRow {
            kek_id: row.get(0)?,
            canary: row.get(1)?,
            wraps: row.get(2)?,
            rows: row.get(3)?,
        })
    })?;
    super::columns::readable("KEK", rows)
}

pub(super) fn canary(tx: &Connection, kek_id: KekId) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(tx
        .query_row("SELECT canary FROM keks WHERE id = ?", [kek_id], |row| {
            row.get(0)
        })
        .optional()?)
}

/// Makes a KEK known with its canary; that it is known already is fine.
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

/// Refuses KEKs of which none has wrapped any secret here, unless there are no secrets. KEKs that are known but wrap
/// nothing never count.
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

/// Counts one more wrap; returns how many there were in all.
pub(super) fn count_wrap(tx: &Connection, kek_id: KekId) -> Result<u64, StoreError> {
    let update = "UPDATE keks SET wraps = wraps + 1 WHERE id = ? RETURNING wraps";
    Ok(tx
        .prepare_cached(update)?
        .query_row([kek_id], |row| row.get(0))?)
}
