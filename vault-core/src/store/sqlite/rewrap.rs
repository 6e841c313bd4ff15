//! Walking the secrets of a SQLite database and swapping their rows.
//!
//! The walk follows the order of the table itself, so that it reads each page once, however many
//! secrets there are.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, chain, keks, writer::Effect};
use crate::{
    audit::AuditDraft,
    envelope::{PAYLOAD_HEAD_BYTES, SealedSecret, SecretBinding},
    key::KekId,
    store::{
        StoreError,
        rewrap::{
            DamagedSecret, RewrapStore, ScannedSecret, ScannedSecrets, SecretScan, SecretSwap,
            Swapped,
        },
    },
};

#[async_trait]
impl RewrapStore for SqliteStore {
    async fn secret_places(&self) -> Result<Option<(i64, i64)>, StoreError> {
        // One query with minimum and maximum together would read the whole table.
        let sql = "SELECT (SELECT min(rowid) FROM secrets), (SELECT max(rowid) FROM secrets)";
        self.readers
            .read(move |tx| {
                let (first, last) = tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(Option::zip(first, last))
            })
            .await
    }

    async fn scan_secrets(&self, query: SecretScan) -> Result<ScannedSecrets, StoreError> {
        self.readers.read(move |tx| scan(tx, &query)).await
    }

    async fn swap_secrets(
        &self,
        to: KekId,
        swaps: Arc<[SecretSwap]>,
    ) -> Result<Swapped, StoreError> {
        self.writer
            .write(Effect::Erases, move |tx| swap(tx, to, &swaps))
            .await
    }

    async fn retire_kek(&self, kek_id: KekId, entry: AuditDraft) -> Result<(), StoreError> {
        self.writer
            .write(Effect::Erases, move |tx| keks::retire(tx, kek_id, entry))
            .await
    }
}

fn scan(tx: &Connection, query: &SecretScan) -> Result<ScannedSecrets, StoreError> {
    // Without the hint SQLite could choose the index of vaults and sort.
    let sql = "SELECT s.rowid, v.app_id, s.vault_id, s.name, s.version, s.kek_id, s.wrapped,
            iif(?1, s.payload, substr(s.payload, 1, ?2))
        FROM secrets s NOT INDEXED LEFT JOIN vaults v ON v.id = s.vault_id
        WHERE s.rowid > ?3 AND s.rowid <= ?4 AND s.kek_id IS NOT ?5 ORDER BY s.rowid LIMIT ?6";
    let mut statement = tx.prepare_cached(sql)?;
    let mut found = statement.query(params![
        query.whole,
        PAYLOAD_HEAD_BYTES,
        query.after.unwrap_or(i64::MIN),
        query.through.unwrap_or(i64::MAX),
        query.other_than,
        query.max_rows,
    ])?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let place = row.get(0)?;
        let row = sealed(row).map_err(|_| damaged(row));
        bytes += row.as_ref().map_or(0, |sealed| sealed.payload.len());
        rows.push(ScannedSecret { place, row });
        if bytes >= query.max_bytes {
            break;
        }
    }
    let is_last = rows.len() < query.max_rows as usize && bytes < query.max_bytes;
    let next = rows.last().map(|row| row.place).filter(|_| !is_last);
    Ok(ScannedSecrets { rows, next })
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<SealedSecret> {
    Ok(SealedSecret {
        binding: SecretBinding {
            app_id: row.get(1)?,
            vault_id: row.get(2)?,
            name: row.get(3)?,
            version: row.get(4)?,
        },
        kek_id: row.get(5)?,
        wrapped: row.get(6)?,
        payload: row.get(7)?,
    })
}

fn damaged(row: &Row<'_>) -> DamagedSecret {
    let name = row.get_ref(3).and_then(|name| Ok(name.as_bytes()?));
    DamagedSecret {
        app_id: row.get(1).ok(),
        vault_id: row.get(2).ok(),
        name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
        kek_id: row.get(5).ok(),
    }
}

fn swap(tx: &Connection, to: KekId, swaps: &[SecretSwap]) -> Result<Swapped, StoreError> {
    let wraps = keks::count_wraps(tx, to, swaps.len())?;
    let update = "UPDATE secrets SET kek_id = ?1, wrapped = ?2
        WHERE rowid = ?3 AND vault_id = ?4 AND name = ?5 AND version = ?6 AND kek_id = ?7 AND wrapped = ?8";
    let mut rewrap = tx.prepare_cached(update)?;
    let mut overtaken = Vec::new();
    for swap in swaps {
        let old = &swap.old;
        let at = &old.binding;
        let changed = rewrap.execute(params![
            to,
            swap.wrapped,
            swap.place,
            at.vault_id,
            at.name,
            at.version,
            old.kek_id,
            old.wrapped
        ])?;
        match (changed, &swap.reencrypted) {
            (0, _) => overtaken.push(swap.place),
            (_, None) => {}
            (_, Some(reencrypted)) => {
                let update = "UPDATE secrets SET payload = ? WHERE rowid = ?";
                tx.prepare_cached(update)?
                    .execute(params![reencrypted.payload, swap.place])?;
                chain::append(tx, reencrypted.entry.clone())?;
            }
        }
    }
    Ok(Swapped { overtaken, wraps })
}
