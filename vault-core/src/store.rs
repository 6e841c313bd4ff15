//! What a store must do: keep sealed rows and audit entries, durably and atomically.
//!
//! A store never sees a KEK, a DEK or a plain value. Every change comes with the audit entry that records it, and both
//! are committed in one transaction or neither is; an acknowledged change is durable. Everything ends in bounded time:
//! a store that is stuck gives [`StoreError::TimedOut`] or [`StoreError::Busy`], never a hang.

mod error;
mod list;
mod pending;
pub mod postgres;
mod release;
pub mod rewrap;
pub mod sqlite;
mod tally;
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
    /// Its id.
    pub id: AppId,
    /// Its name.
    pub name: AppName,
    /// Its slug.
    pub slug: AppSlug,
    /// What it is for.
    pub description: String,
}

/// An API key as it is stored: what is shown of it, and the digest of its secret part.
#[derive(Clone)]
pub struct ApiKeyRow {
    /// What is shown.
    pub view: ApiKeyView,
    /// SHA-256 of the secret part of the token.
    pub secret_hash: [u8; 32],
}

/// A vault to create.
#[derive(Debug, Clone)]
pub struct NewVault {
    /// Its id.
    pub id: VaultId,
    /// Its app.
    pub app_id: AppId,
    /// Its name.
    pub name: VaultName,
    /// Its metadata.
    pub metadata: Metadata,
}

/// What an overwrite continues: the version and the birthday of the row that is there, and which write it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHead {
    /// The version of the row.
    pub version: u64,
    /// When the secret was created.
    pub created_at: Timestamp,
    /// Which write it is of; two rows that one after the other had the same name never share it.
    pub revision: Revision,
}

impl SecretHead {
    /// The version that an overwrite has. Databases count in signed 64-bit numbers, and only tampering leads to the
    /// last of them.
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

/// A sealed secret to store, on the condition that what it replaces is still there.
#[derive(Clone)]
pub struct PutSecret {
    /// The sealed secret; its version follows the one that it replaces.
    pub sealed: SealedSecret,
    /// The row that it replaces.
    pub replaces: Option<SecretHead>,
    /// The KEKs that the writer can read, to refuse a first row under a KEK that does not belong to the data.
    pub readable: Vec<KekId>,
}

/// What became of a [`PutSecret`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was stored and audited.
    Stored {
        /// What is shown of it.
        view: RedactedSecret,
        /// How many DEKs its KEK has wrapped by now.
        wraps: u64,
    },
    /// Another write came first; nothing was stored.
    Stale(Option<SecretHead>),
}

/// What a release found, in the transaction that recorded it.
pub enum ReleaseRow {
    /// The app designates no vault.
    NoVaultDesignated,
    /// The designated vault has no such secret.
    NotFound,
    /// The release is authorised.
    Authorised {
        /// The secret's row.
        sealed: SealedSecret,
        /// The metadata of its vault.
        metadata: Metadata,
    },
}

/// A KEK that was used with this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekRow {
    /// Which KEK.
    pub kek_id: KekId,
    /// A wrapped DEK of no use, to try a KEK on; nothing when secrets name a KEK that was never registered.
    pub canary: Option<Vec<u8>>,
    /// How many DEKs it has wrapped.
    pub wraps: u64,
    /// How many secrets are wrapped with it now.
    pub rows: u64,
}

/// How a store keeps up with what is written to it. Counts and times are since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// How many writes are waiting or being made right now.
    pub waiting: u64,
    /// How many writes ended with a commit, those included that were refused and changed nothing.
    pub writes: u64,
    /// How many transactions they took.
    pub commits: u64,
    /// How long all of these writes together took, each from when it was asked for until it was committed.
    pub write_time: Duration,
    /// How long the one took that waited longest for the last commit. Nothing is released before its commit, so this is
    /// how far the audit lags behind.
    pub last_write_time: Duration,
}

/// Apps and their API keys.
#[async_trait]
pub trait AppStore: Send + Sync {
    /// Creates an app, or reports that its slug is [`StoreError::Taken`].
    async fn create_app(&self, app: NewApp, entry: AuditDraft) -> Result<App, StoreError>;
    /// Every app, oldest first.
    async fn apps(&self) -> Result<Vec<App>, StoreError>;
    /// One app.
    async fn app(&self, id: AppId) -> Result<Option<App>, StoreError>;
    /// One app by its slug.
    async fn app_by_slug(&self, slug: &AppSlug) -> Result<Option<App>, StoreError>;
    /// Creates an API key of an app that must be there.
    async fn create_api_key(&self, key: ApiKeyRow, entry: AuditDraft) -> Result<(), StoreError>;
    /// An app's API keys, oldest first.
    async fn api_keys(&self, app_id: AppId) -> Result<Vec<ApiKeyView>, StoreError>;
    /// One API key of any app, to authenticate with.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError>;
    /// Revokes an API key of this app; the first time counts.
    async fn revoke_api_key(
        &self,
        app_id: AppId,
        id: ApiKeyId,
        entry: AuditDraft,
    ) -> Result<ApiKeyView, StoreError>;
}

/// Vaults and which one an app designates.
#[async_trait]
pub trait VaultStore: Send + Sync {
    /// Creates a vault in an app that must be there, or reports that its name is [`StoreError::Taken`].
    async fn create_vault(
        &self,
        vault: NewVault,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError>;
    /// An app's vaults, oldest first.
    async fn vaults(&self, app_id: AppId) -> Result<Vec<VaultView>, StoreError>;
    /// One vault of this app.
    async fn vault(&self, app_id: AppId, id: VaultId) -> Result<Option<VaultView>, StoreError>;
    /// One vault of this app by its name.
    async fn vault_by_name(
        &self,
        app_id: AppId,
        name: &VaultName,
    ) -> Result<Option<VaultView>, StoreError>;
    /// Replaces a vault's metadata if its current view meets the condition.
    async fn update_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        metadata: Metadata,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError>;
    /// Deletes a vault, its secrets and a designation of it if its current view meets the condition; returns how many
    /// secrets went.
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

/// Sealed secrets, and the KEKs that they are wrapped with.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The version of a secret in a vault of this app, [`StoreError::NotFound`] when the vault is not there.
    async fn secret_head(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
    ) -> Result<Option<SecretHead>, StoreError>;
    /// Stores a sealed secret if the row that it replaces is unchanged, and counts the wrap.
    async fn put_secret(&self, put: PutSecret, entry: AuditDraft)
    -> Result<PutOutcome, StoreError>;
    /// A vault's secrets by name. A row that cannot be read is left out, with a warning in the log.
    async fn secrets(
        &self,
        app_id: AppId,
        vault_id: VaultId,
    ) -> Result<Vec<RedactedSecret>, StoreError>;
    /// Deletes a secret if it meets the condition; says whether it was there. Both are recorded.
    async fn delete_secret(
        &self,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<bool, StoreError>;
    /// Reads the app's designation and the secret's row as they are now and records the release or its refusal, all in
    /// one transaction that is committed when this returns.
    async fn release(
        &self,
        app_id: AppId,
        name: &SecretName,
        entry: AuditDraft,
    ) -> Result<ReleaseRow, StoreError>;
    /// Every KEK that was used or that secrets name, with its counts.
    async fn keks(&self) -> Result<Vec<KekRow>, StoreError>;
    /// The canary of one KEK.
    async fn canary(&self, kek_id: KekId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Makes a KEK known. The canary that is there first stays. Refused with [`StoreError::KekMismatch`] as a put is.
    async fn register_kek(
        &self,
        kek_id: KekId,
        canary: Vec<u8>,
        readable: Vec<KekId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError>;
    /// [`StoreError::KekMismatch`] when there are secrets and none is wrapped with a readable KEK.
    async fn check_keks(&self, readable: Vec<KekId>) -> Result<(), StoreError>;
}

/// The audit, and the store as a whole.
#[async_trait]
pub trait Store: AppStore + VaultStore + SecretStore + RewrapStore {
    /// Records an entry of its own.
    async fn append(&self, entry: AuditDraft) -> Result<AuditEntry, StoreError>;
    /// A page of entries, newest first.
    async fn audit_page(&self, query: AuditQuery) -> Result<AuditPage, StoreError>;
    /// The newest [`AUDIT_PAGE_MAX`](crate::audit::AUDIT_PAGE_MAX) entries before a place, of all that the query's
    /// filters let through. They are not counted.
    async fn audit_batch(
        &self,
        query: AuditQuery,
        before_place: Option<i64>,
    ) -> Result<AuditBatch, StoreError>;
    /// Shows every entry and every secret's row, in one snapshot, to a verifier.
    async fn verify(&self, verifier: Verifier) -> Result<VerifyReport, StoreError>;
    /// Whether reading and writing work right now; changes nothing.
    async fn probe(&self) -> Result<(), StoreError>;
    /// How it keeps up.
    fn stats(&self) -> StoreStats;
    /// Waits for what is under way, leaves deleted ciphertext nowhere, and refuses everything from then on.
    async fn close(&self) -> Result<(), StoreError>;
}
