//! What a store does for a rewrap: show every secret's row in an order of its own, and swap rows that nobody changed.
//!
//! Rows are sealed here as everywhere in stores. What is made of them is decided by `vault::rewrap`.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use crate::{
    audit::AuditDraft,
    envelope::SealedSecret,
    id::{AppId, VaultId},
    key::KekId,
};

/// Which rows to show next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretScan {
    /// After which place; from the first one on, without.
    pub after: Option<i64>,
    /// Up to which place, that one included; to the last one, without.
    pub through: Option<i64>,
    /// Only what is not wrapped with this KEK.
    pub other_than: Option<KekId>,
    /// Whether payloads come whole; otherwise only [`PAYLOAD_HEAD_BYTES`](crate::envelope::PAYLOAD_HEAD_BYTES) of each.
    pub whole: bool,
    /// How many rows at the most.
    pub max_rows: u32,
    /// After how many bytes of payload no further row is added.
    pub max_bytes: usize,
}

/// The rows that a scan found.
pub struct ScannedSecrets {
    /// In the order of their places.
    pub rows: Vec<ScannedSecret>,
    /// After which place to go on; nothing when these were the last.
    pub next: Option<i64>,
}

/// A secret's row and where it is.
pub struct ScannedSecret {
    /// Its place in the store's own order. It stays while the row is there; only together with the row's content does
    /// it tell which row it is.
    pub place: i64,
    /// The row, or what can be said of one that cannot be read.
    pub row: Result<SealedSecret, DamagedSecret>,
}

/// A row that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSecret {
    /// Its app, if its vault is there.
    pub app_id: Option<AppId>,
    /// Its vault, if that can be read.
    pub vault_id: Option<VaultId>,
    /// Its name, as far as that can be read.
    pub name: String,
    /// Its KEK, if that can be read.
    pub kek_id: Option<KekId>,
}

/// A row to swap.
pub struct SecretSwap {
    /// Where it is.
    pub place: i64,
    /// The row as it was read. The swap is made if vault, name, version, kek id and wrapped DEK are still these.
    pub old: SealedSecret,
    /// The DEK under the new KEK.
    pub wrapped: Vec<u8>,
    /// What else a re-encryption changes; boxed, because most swaps have none.
    pub reencrypted: Option<Box<Reencrypted>>,
}

/// A new payload.
pub struct Reencrypted {
    /// The payload.
    pub payload: Vec<u8>,
    /// The entry that records it.
    pub entry: AuditDraft,
}

/// What became of swaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// The places of rows that were changed or deleted first and are as that left them.
    pub overtaken: Vec<i64>,
    /// How many DEKs the new KEK has wrapped by now.
    pub wraps: u64,
}

/// Moving secrets from one KEK to another, and forgetting KEKs.
#[async_trait]
pub trait RewrapStore: Send + Sync {
    /// The first place that a secret has, and the last; nothing when there are none.
    async fn secret_places(&self) -> Result<Option<(i64, i64)>, StoreError>;
    /// The next rows, in one snapshot.
    async fn scan_secrets(&self, scan: SecretScan) -> Result<ScannedSecrets, StoreError>;
    /// Swaps rows in one transaction and counts a wrap for each, those that were overtaken included. Refused with
    /// [`StoreError::UnknownKek`] when the new KEK is not known here.
    async fn swap_secrets(
        &self,
        to: KekId,
        swaps: Arc<[SecretSwap]>,
    ) -> Result<Swapped, StoreError>;
    /// Forgets a KEK, its canary and its count, and records it. Refused with [`StoreError::KekInUse`] while it wraps
    /// secrets, and with [`StoreError::UnknownKek`] when it is not known here.
    async fn retire_kek(&self, kek_id: KekId, entry: AuditDraft) -> Result<(), StoreError>;
}
