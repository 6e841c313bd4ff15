//! The contract of a store: it keeps sealed rows and audit entries, durably and atomically.
//!
//! A store never sees a KEK, a DEK or a plain value. Every change comes with the audit entry that
//! records it, and one transaction commits both or neither. An acknowledged change is durable.
//! Every call ends in bounded time: a store that is stuck answers [`StoreError::TimedOut`] or
//! [`StoreError::Busy`] and never hangs.

mod error;
pub mod list;
pub mod pending;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod release;
pub mod rewrap;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod tally;
pub mod transfer;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::error::StoreError;
use self::rewrap::RewrapStore;
use crate::{
    app::{ApiKeyView, App, VaultView},
    audit::{AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, Verifier, VerifyReport},
    envelope::SealedSecret,
    id::{ApiKeyId, AppId, VaultId},
    key::KekId,
    metadata::Metadata,
    name::{AppName, AppSlug, VaultName},
    revision::{Condition, Revision},
    secret::{RedactedSecret, SecretName},
};

/// An app to create.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// The id, made by the caller.
    pub id: AppId,
    /// The name for people.
    pub name: AppName,
    /// The slug, which must not be taken.
    pub slug: AppSlug,
    /// The purpose; may be empty.
    pub description: String,
}

/// An API key as it is stored: its public part, and the digest of its secret part.
#[derive(Clone)]
pub struct ApiKeyRow {
    /// The public part.
    pub view: ApiKeyView,
    /// The SHA-256 of the secret part of the token.
    pub secret_hash: [u8; 32],
}

/// A vault to create.
#[derive(Debug, Clone)]
pub struct NewVault {
    /// The id, made by the caller.
    pub id: VaultId,
    /// The app that gets the vault.
    pub app_id: AppId,
    /// The name, which must not be taken in the app.
    pub name: VaultName,
    /// The metadata, checked before.
    pub metadata: Metadata,
}

/// The state that an overwrite continues: the version, the time of creation and the revision of the
/// existing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHead {
    /// The version of the row.
    pub version: u64,
    /// When the secret was created.
    pub created_at: Timestamp,
    /// The revision of the row. Two rows that had the same name one after the other never share it.
    pub revision: Revision,
}

impl SecretHead {
    /// The version of an overwrite. Databases count in signed 64-bit numbers, and only tampering
    /// reaches the last of them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] at the last version.
    pub fn next_version(&self) -> Result<u64, StoreError> {
        let next = self.version.checked_add(1);
        next.filter(|next| i64::try_from(*next).is_ok())
            .ok_or(StoreError::Damaged {
                what: "the version of the secret",
            })
    }
}

/// A sealed secret to store, on the condition that the row which it replaces is unchanged.
#[derive(Clone)]
pub struct PutSecret {
    /// The sealed secret. Its version follows that of the row which it replaces.
    pub sealed: SealedSecret,
    /// The row to replace, or `None` for a new secret.
    pub replaces: Option<SecretHead>,
    /// The KEKs that the writer can unwrap. The store refuses a first row under a KEK that does not
    /// belong to the data.
    pub readable: Vec<KekId>,
}

/// The result of a [`PutSecret`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The secret was stored and the put was recorded.
    Stored {
        /// The secret as clients see it.
        view: RedactedSecret,
        /// The number of DEKs that this KEK has wrapped so far.
        wraps: u64,
    },
    /// Another write came first, and nothing was stored. This is the row that is there now.
    Stale(Option<SecretHead>),
}

/// The result of a release, read in the transaction that recorded it.
pub enum ReleaseRow {
    /// The app designates no vault.
    NoVaultDesignated,
    /// The designated vault has no such secret.
    NotFound,
    /// The release is authorised.
    Authorised {
        /// The secret's row.
        sealed: SealedSecret,
        /// The metadata of the secret's vault.
        metadata: Metadata,
    },
}

/// A KEK that was used with this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekRow {
    /// The id of the KEK.
    pub kek_id: KekId,
    /// A wrapped DEK that protects nothing, to try the KEK on. `None` when secrets name a KEK that
    /// was never registered.
    pub canary: Option<Vec<u8>>,
    /// The number of DEKs that the KEK has wrapped.
    pub wraps: u64,
    /// The number of secrets that the KEK wraps now.
    pub rows: u64,
}

/// Figures about a store's writes. Counts and times begin when the store is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// The number of writes that are waiting or being made right now.
    pub waiting: u64,
    /// The number of writes that ended with a commit. This includes writes that were refused and
    /// changed nothing.
    pub writes: u64,
    /// The number of transactions that these writes took.
    pub commits: u64,
    /// The total time of these writes, each from the call until the commit.
    pub write_time: Duration,
    /// The longest time of a write in the last commit. Nothing is released before its commit, so
    /// this is how far the audit lags behind.
    pub last_write_time: Duration,
}

/// Apps and their API keys.
#[async_trait]
pub trait AppStore: Send + Sync {
    /// Creates an app. [`StoreError::Taken`] when its slug is taken.
    async fn create_app(&self, app: NewApp, entry: AuditDraft) -> Result<App, StoreError>;
    /// All apps, oldest first.
    async fn apps(&self) -> Result<Vec<App>, StoreError>;
    /// Finds an app by its id.
    async fn app(&self, id: AppId) -> Result<Option<App>, StoreError>;
    /// Finds an app by its slug.
    async fn app_by_slug(&self, slug: &AppSlug) -> Result<Option<App>, StoreError>;
    /// Creates an API key. Its app must exist.
    async fn create_api_key(&self, key: ApiKeyRow, entry: AuditDraft) -> Result<(), StoreError>;
    /// An app's API keys, oldest first.
    async fn api_keys(&self, app_id: AppId) -> Result<Vec<ApiKeyView>, StoreError>;
    /// Finds an API key of any app, for authentication.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError>;
    /// Revokes an API key of this app. Only the first revocation counts.
    async fn revoke_api_key(
        &self,
        app_id: AppId,
        id: ApiKeyId,
        entry: AuditDraft,
    ) -> Result<ApiKeyView, StoreError>;
}

/// Vaults, and the one that an app designates.
#[async_trait]
pub trait VaultStore: Send + Sync {
    /// Creates a vault. Its app must exist. [`StoreError::Taken`] when the app has a vault of that
    /// name.
    async fn create_vault(
        &self,
        vault: NewVault,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError>;
    /// An app's vaults, oldest first.
    async fn vaults(&self, app_id: AppId) -> Result<Vec<VaultView>, StoreError>;
    /// Finds a vault of this app by its id.
    async fn vault(&self, app_id: AppId, id: VaultId) -> Result<Option<VaultView>, StoreError>;
    /// Finds a vault of this app by its name.
    async fn vault_by_name(
        &self,
        app_id: AppId,
        name: &VaultName,
    ) -> Result<Option<VaultView>, StoreError>;
    /// Replaces a vault's metadata if the vault's current view meets the condition.
    async fn update_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        metadata: Metadata,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError>;
    /// Deletes a vault, its secrets and a designation of it if the vault's current view meets the
    /// condition. Returns the number of secrets that were deleted.
    async fn delete_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<u64, StoreError>;
    /// Designates a vault of this app, or clears the designation.
    async fn designate(
        &self,
        app_id: AppId,
        vault_id: Option<VaultId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError>;
}

/// Sealed secrets, and the KEKs that wrap their DEKs.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The head of a secret in a vault of this app. [`StoreError::NotFound`] when the vault does
    /// not exist.
    async fn secret_head(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
    ) -> Result<Option<SecretHead>, StoreError>;
    /// Stores a sealed secret if the row that it replaces is unchanged, and counts the wrap.
    async fn put_secret(&self, put: PutSecret, entry: AuditDraft)
    -> Result<PutOutcome, StoreError>;
    /// A vault's secrets, sorted by name. An unreadable row is left out, with a warning in the log.
    async fn secrets(
        &self,
        app_id: AppId,
        vault_id: VaultId,
    ) -> Result<Vec<RedactedSecret>, StoreError>;
    /// Deletes a secret if it meets the condition. Returns whether it existed. Both outcomes are
    /// recorded.
    async fn delete_secret(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<bool, StoreError>;
    /// Reads the app's designation and the secret's row as they are now, and records the release or
    /// its refusal. One transaction does both and is committed when this returns.
    async fn release(
        &self,
        app_id: AppId,
        name: &SecretName,
        entry: AuditDraft,
    ) -> Result<ReleaseRow, StoreError>;
    /// All KEKs that were used or that secrets name, with their counts.
    async fn keks(&self) -> Result<Vec<KekRow>, StoreError>;
    /// The canary of a KEK.
    async fn canary(&self, kek_id: KekId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Makes a KEK known. The first canary stays. [`StoreError::KekMismatch`] for the same reasons
    /// as a put.
    async fn register_kek(
        &self,
        kek_id: KekId,
        canary: Vec<u8>,
        readable: Vec<KekId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError>;
    /// Fails with [`StoreError::KekMismatch`] when there are secrets and no readable KEK wraps any
    /// of them.
    async fn check_keks(&self, readable: Vec<KekId>) -> Result<(), StoreError>;
}

/// The audit, and the store as a whole.
#[async_trait]
pub trait Store: AppStore + VaultStore + SecretStore + RewrapStore {
    /// Records an entry that belongs to no change of this store.
    async fn append(&self, entry: AuditDraft) -> Result<AuditEntry, StoreError>;
    /// A page of entries, newest first.
    async fn audit_page(&self, query: AuditQuery) -> Result<AuditPage, StoreError>;
    /// The newest [`AUDIT_PAGE_MAX`](crate::audit::AUDIT_PAGE_MAX) entries that match the query's
    /// filters and stand before a place. They are not counted.
    async fn audit_batch(
        &self,
        query: AuditQuery,
        before_place: Option<i64>,
    ) -> Result<AuditBatch, StoreError>;
    /// Shows every entry and every secret's row to a verifier, in one snapshot.
    async fn verify(&self, verifier: Verifier) -> Result<VerifyReport, StoreError>;
    /// Checks whether reading and writing work right now. Changes nothing.
    async fn probe(&self) -> Result<(), StoreError>;
    /// Figures about the store's writes.
    fn stats(&self) -> StoreStats;
    /// Waits for writes under way, removes deleted ciphertext everywhere, and refuses every later
    /// call.
    async fn close(&self) -> Result<(), StoreError>;
}
