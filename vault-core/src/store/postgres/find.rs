//! The query for the secrets that apps request, for a whole group of releases at once.

use tokio_postgres::Row;

use super::columns::{column, count};
use crate::{
    id::VaultId,
    store::{StoreError, release::Found},
};

/// Finds the secrets behind all names that apps ask for. Only tampering makes an app designate
/// another app's vault, and such a designation counts as none. The limits keep every search on its
/// index, whatever PostgreSQL knows of the tables.
pub(super) const FIND: &str = "SELECT d.id, d.metadata, s.version, s.kek_id, s.wrapped, s.payload
    FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS asked (app_id, name, place)
    LEFT JOIN LATERAL (SELECT v.id, v.metadata FROM apps a JOIN vaults v ON v.id = a.vault_id AND v.app_id = a.id
        WHERE a.id = asked.app_id LIMIT 1) d ON TRUE
    LEFT JOIN LATERAL (SELECT version, kek_id, wrapped, payload FROM secrets
        WHERE vault_id = d.id AND name = asked.name LIMIT 1) s ON TRUE
    ORDER BY asked.place";

/// A row of [`FIND`].
pub(super) fn found(row: &Row) -> Result<Found, StoreError> {
    let Some(vault_id) = column::<Option<VaultId>>(row, 0)? else {
        return Ok(Found::NoVaultDesignated);
    };
    if column::<Option<i64>>(row, 2)?.is_none() {
        return Ok(Found::NoSecret { vault_id });
    }
    Ok(Found::Secret {
        vault_id,
        metadata: column(row, 1)?,
        version: count(row, 2)?,
        kek_id: column(row, 3)?,
        wrapped: column(row, 4)?,
        payload: column(row, 5)?,
    })
}
