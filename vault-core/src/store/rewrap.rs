//! The part of a store that a rewrap needs: it shows every secret's row in an order of its own, and
//! swaps rows that nobody changed.
//!
//! Rows are sealed here as everywhere in stores. `vault::rewrap` decides what becomes of them.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use crate::{
    audit::AuditDraft,
    envelope::SealedSecret,
    id::{AppId, VaultId},
    key::KekId,
};

/// A query for the next rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretScan {
    /// Rows after this place; from the first row on when absent.
    pub after: Option<i64>,
    /// Rows up to this place, inclusive; to the last row when absent.
    pub through: Option<i64>,
    /// Only rows that this KEK does not wrap.
    pub other_than: Option<KekId>,
    /// Whether payloads are read whole. Otherwise only
    /// [`PAYLOAD_HEAD_BYTES`](crate::envelope::PAYLOAD_HEAD_BYTES) of each are read.
    pub whole: bool,
    /// The largest number of rows.
    pub max_rows: u32,
    /// The number of payload bytes after which no further row is added.
    pub max_bytes: usize,
}

/// The rows that a scan found.
pub struct ScannedSecrets {
    /// The rows, sorted by place.
    pub rows: Vec<ScannedSecret>,
    /// The next scan begins after this place; `None` when these rows were the last.
    pub next: Option<i64>,
}

/// A secret's row and its place.
pub struct ScannedSecret {
    /// The place in the store's own order. It stays the same while the row exists. Only place and
    /// content together identify a row.
    pub place: i64,
    /// The row, or the readable parts of a damaged one.
    pub row: Result<SealedSecret, DamagedSecret>,
}

/// A row whose content is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSecret {
    /// The app, if the vault exists.
    pub app_id: Option<AppId>,
    /// The vault, if it can be read.
    pub vault_id: Option<VaultId>,
    /// The name, as far as it can be read.
    pub name: String,
    /// The KEK, if it can be read.
    pub kek_id: Option<KekId>,
}

/// A row to swap.
pub struct SecretSwap {
    /// The place of the row.
    pub place: i64,
    /// The row as it was read. The swap is made only if vault, name, version, kek id and wrapped
    /// DEK are unchanged.
    pub old: SealedSecret,
    /// The DEK, wrapped with the new KEK.
    pub wrapped: Vec<u8>,
    /// The other changes of a re-encryption. It is boxed because most swaps have none.
    pub reencrypted: Option<Box<Reencrypted>>,
}

/// The changes of a re-encryption in addition to the new wrap.
pub struct Reencrypted {
    /// The new payload.
    pub payload: Vec<u8>,
    /// The entry that records the re-encryption.
    pub entry: AuditDraft,
}

/// The result of swaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// The places of rows that somebody changed or deleted first. They stay as that left them.
    pub overtaken: Vec<i64>,
    /// The number of DEKs that the new KEK has wrapped so far.
    pub wraps: u64,
}

/// Moves secrets from one KEK to another, and forgets KEKs.
#[async_trait]
pub trait RewrapStore: Send + Sync {
    /// The first and the last place of a secret; `None` without secrets.
    async fn secret_places(&self) -> Result<Option<(i64, i64)>, StoreError>;
    /// Reads the next rows in one snapshot.
    async fn scan_secrets(&self, scan: SecretScan) -> Result<ScannedSecrets, StoreError>;
    /// Swaps rows in one transaction. Counts a wrap for each row, including those that were
    /// overtaken. [`StoreError::UnknownKek`] when the new KEK is not known here.
    async fn swap_secrets(
        &self,
        to: KekId,
        swaps: Arc<[SecretSwap]>,
    ) -> Result<Swapped, StoreError>;
    /// Forgets a KEK, its canary and its count, and records that. [`StoreError::KekInUse`] while it
    /// wraps secrets, and [`StoreError::UnknownKek`] when it is not known here.
    async fn retire_kek(&self, kek_id: KekId, entry: AuditDraft) -> Result<(), StoreError>;
}
