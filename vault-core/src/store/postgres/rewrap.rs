//! Walking the secrets of a PostgreSQL database and swapping their rows.
//!
//! A swap never waits. It treats a row that another transaction is changing right now as one that
//! was changed before.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    ask::Ask,
    columns::{column, count, signed},
    group::{Change, Group},
    keks,
};
use crate::{
    audit::AuditDraft,
    envelope::{PAYLOAD_HEAD_BYTES, SealedSecret, SecretBinding},
    id::VaultId,
    key::KekId,
    secret::SecretName,
    store::{
        StoreError,
        rewrap::{
            DamagedSecret, RewrapStore, ScannedSecret, ScannedSecrets, SecretScan, SecretSwap,
            Swapped,
        },
    },
};

#[async_trait]
impl RewrapStore for PostgresStore {
    async fn secret_places(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let sql = "SELECT min(place), max(place) FROM secrets";
        let Some(row) = self.readers.row(sql, &[]).await? else {
            return Ok(None);
        };
        let (first, last): (Option<i64>, Option<i64>) = (column(&row, 0)?, column(&row, 1)?);
        Ok(first.zip(last))
    }

    async fn scan_secrets(&self, query: SecretScan) -> Result<ScannedSecrets, StoreError> {
        // The row that exceeds the limit of bytes is the last one.
        let sql = "SELECT place, app_id, vault_id, name, version, kek_id, wrapped,
                CASE WHEN $1 THEN payload ELSE substr(payload, 1, $2) END, bytes >= $7, count(*) OVER ()
            FROM (SELECT found.*, sum(size) OVER (ORDER BY place)::bigint AS bytes FROM (
                SELECT s.*, v.app_id, CASE WHEN $1 THEN octet_length(s.payload)
                    ELSE least(octet_length(s.payload), $2) END AS size
                FROM secrets s LEFT JOIN vaults v ON v.id = s.vault_id
                WHERE s.place > $3 AND s.place <= $4 AND ($5::bytea IS NULL OR s.kek_id <> $5)
                ORDER BY s.place LIMIT $6) found) measured
            WHERE bytes - size < $7 ORDER BY place";
        let after = query.after.unwrap_or(i64::MIN);
        let through = query.through.unwrap_or(i64::MAX);
        let head_bytes = PAYLOAD_HEAD_BYTES as i32;
        let max_rows = i64::from(query.max_rows);
        let max_bytes = i64::try_from(query.max_bytes).unwrap_or(i64::MAX);
        let found = self
            .readers
            .rows(
                sql,
                &[
                    &query.whole,
                    &head_bytes,
                    &after,
                    &through,
                    &query.other_than,
                    &max_rows,
                    &max_bytes,
                ],
            )
            .await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            rows.push(ScannedSecret {
                place: column(row, 0)?,
                row: sealed(row).map_err(|_| damaged(row)),
            });
        }
        let is_full = match found.last() {
            Some(last) => found.len() >= query.max_rows as usize || column(last, 8)?,
            None => false,
        };
        let next = rows.last().map(|row| row.place).filter(|_| is_full);
        Ok(ScannedSecrets { rows, next })
    }

    async fn swap_secrets(
        &self,
        to: KekId,
        swaps: Arc<[SecretSwap]>,
    ) -> Result<Swapped, StoreError> {
        self.writer.change(Swap { to, swaps }).await
    }

    async fn retire_kek(&self, kek_id: KekId, entry: AuditDraft) -> Result<(), StoreError> {
        self.writer.change(keks::Retire { kek_id, entry }).await
    }
}

fn sealed(row: &Row) -> Result<SealedSecret, StoreError> {
    Ok(SealedSecret {
        binding: SecretBinding {
            app_id: column(row, 1)?,
            vault_id: column(row, 2)?,
            name: column(row, 3)?,
            version: count(row, 4)?,
        },
        kek_id: column(row, 5)?,
        wrapped: column(row, 6)?,
        payload: column(row, 7)?,
    })
}

fn damaged(row: &Row) -> DamagedSecret {
    DamagedSecret {
        app_id: column(row, 1).ok(),
        vault_id: column(row, 2).ok(),
        name: column(row, 3).unwrap_or_default(),
        kek_id: column(row, 5).ok(),
    }
}

struct Swap {
    to: KekId,
    swaps: Arc<[SecretSwap]>,
}

#[async_trait]
impl Change for Swap {
    type Made = Swapped;

    async fn make(&self, group: &mut Group<'_>) -> Result<Swapped, StoreError> {
        let wraps = keks::count_wraps(group, self.to, signed(self.swaps.len() as u64)?).await?;
        let update = "WITH free AS MATERIALIZED (
                SELECT s.place, swap.new_wrapped, swap.new_payload
                FROM unnest($2::bigint[], $3::bytea[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[],
                    $9::bytea[]) AS swap (place, vault_id, name, version, kek_id, wrapped, new_wrapped, new_payload)
                JOIN secrets s ON s.place = swap.place
                WHERE s.vault_id = swap.vault_id AND s.name = swap.name AND s.version = swap.version
                    AND s.kek_id = swap.kek_id AND s.wrapped = swap.wrapped
                FOR UPDATE OF s SKIP LOCKED)
            UPDATE secrets s SET kek_id = $1, wrapped = free.new_wrapped,
                payload = coalesce(free.new_payload, s.payload)
            FROM free WHERE s.place = free.place RETURNING s.place";
        let swaps = &*self.swaps;
        let places: Vec<i64> = swaps.iter().map(|swap| swap.place).collect();
        let old = || swaps.iter().map(|swap| &swap.old);
        let vaults: Vec<VaultId> = old().map(|old| old.binding.vault_id).collect();
        let names: Vec<&SecretName> = old().map(|old| &old.binding.name).collect();
        let versions: Vec<i64> = old()
            .map(|old| signed(old.binding.version))
            .collect::<Result<_, _>>()?;
        let keks: Vec<KekId> = old().map(|old| old.kek_id).collect();
        let wrapped: Vec<&[u8]> = old().map(|old| old.wrapped.as_slice()).collect();
        let new_wrapped: Vec<&[u8]> = swaps.iter().map(|swap| swap.wrapped.as_slice()).collect();
        let new_payloads: Vec<Option<&[u8]>> = swaps
            .iter()
            .map(|swap| swap.reencrypted.as_ref().map(|new| new.payload.as_slice()))
            .collect();
        let moved = group
            .rows(
                update,
                &[
                    &self.to,
                    &places,
                    &vaults,
                    &names,
                    &versions,
                    &keks,
                    &wrapped,
                    &new_wrapped,
                    &new_payloads,
                ],
            )
            .await?;
        let moved = moved
            .iter()
            .map(|row| column(row, 0))
            .collect::<Result<std::collections::HashSet<i64>, _>>()?;
        let mut overtaken = Vec::new();
        for swap in swaps {
            match &swap.reencrypted {
                _ if !moved.contains(&swap.place) => overtaken.push(swap.place),
                Some(reencrypted) => group.append(reencrypted.entry.clone())?,
                None => {}
            }
        }
        Ok(Swapped { overtaken, wraps })
    }
}
