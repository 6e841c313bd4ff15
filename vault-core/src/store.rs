//! What a store must do: keep sealed rows and audit entries, durably and atomically.
//!
//! A store never sees a KEK, a DEK or a plain value. Every change comes with the audit entry that records it, and both
//! are committed in one transaction or neither is; an acknowledged change is durable. Everything ends in bounded time:
//! a store that is stuck gives [`StoreError::TimedOut`] or [`StoreError::Busy`], never a hang.

pub mod postgres;
mod release;
pub mod rewrap;
pub mod sqlite;
mod tally;
pub mod transfer;

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

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

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The app, vault or API key that this is about is not there.
    #[error("what this is about is not in the store")]
    NotFound,
    /// The name is taken by another one.
    #[error("the name is taken")]
    Taken,
    /// The condition of a change is not met; nothing was changed.
    #[error("the condition of the change is not met")]
    PreconditionFailed,
    /// The data belongs to other KEKs than those at hand.
    #[error("{rows} secrets need the KEK {wanted}, which is not in the keyring")]
    KekMismatch {
        /// The KEK that most rows need.
        wanted: KekId,
        /// How many rows need it.
        rows: u64,
    },
    /// The KEK is not known here: it never wrapped anything, or it was retired.
    #[error("the KEK {kek_id} is not known to the database")]
    UnknownKek {
        /// Which KEK.
        kek_id: KekId,
    },
    /// Secrets are still wrapped with the KEK.
    #[error("{rows} secrets are wrapped with the KEK {kek_id}")]
    KekInUse {
        /// Which KEK.
        kek_id: KekId,
        /// How many secrets.
        rows: u64,
    },
    /// A row does not hold what it must.
    #[error("{what} is damaged; restore it from a backup")]
    Damaged {
        /// What it should have been.
        what: &'static str,
    },
    /// Someone else holds the database for longer than the busy timeout.
    #[error("the database is locked by another process; try again, or end that process")]
    Busy,
    /// The disk is full.
    #[error("the disk is full; make room and try again")]
    Full,
    /// The database cannot be written.
    #[error(
        "the database is read-only; check the permissions of the file, its folder and the disk"
    )]
    ReadOnly,
    /// It took too long.
    #[error("the store did not answer within {limit_ms} ms; check the disk and the load")]
    TimedOut {
        /// The limit that was exceeded.
        limit_ms: u64,
    },
    /// More writes are waiting than may.
    #[error("more than {queue_max_jobs} writes are waiting; try again later")]
    Overloaded {
        /// The limit that was exceeded.
        queue_max_jobs: usize,
    },
    /// An audit entry that no list could show.
    #[error(
        "the audit entry could not be read back and was not recorded; record fewer or simpler details"
    )]
    Unrecordable,
    /// What the store was doing panicked, and was undone.
    #[error(
        "the store came upon a defect of this program and undid what it was doing; report it with the log"
    )]
    Panicked,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A newer program wrote the schema.
    #[error(
        "the database has schema version {found} and this program knows versions up to {known}; use a newer program"
    )]
    NewerSchema {
        /// The version that was found.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// An older program wrote the schema, and this needs the newest one.
    #[error(
        "the database has schema version {found} and version {known} is needed; run any command of this program on it, which migrates it"
    )]
    Unmigrated {
        /// The version that was found.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// A row has text that the database has no way to keep.
    #[error(
        "the {row} has in {column} what PostgreSQL cannot keep as text: a zero character, or bytes that are no UTF-8"
    )]
    Unkeepable {
        /// Which row.
        row: String,
        /// In which column.
        column: &'static str,
    },
    /// The file is no vault database.
    #[error("{path} is not a vault database; choose another file")]
    NotAVault {
        /// Which file.
        path: PathBuf,
    },
    /// The log of a database is there, and the database is not.
    #[error(
        "{path} is the log of a database that is not there; move it away, or its database back to it"
    )]
    LogWithoutDatabase {
        /// The log.
        path: PathBuf,
    },
    /// The file cannot be opened or created.
    #[error(
        "the database {path} cannot be opened; check that the folder exists and that this user may write there"
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Nothing answers where the database should be.
    #[error(
        "the database cannot be reached ({cause}); check that its server runs, and the host and port in the storage URL"
    )]
    Unreachable {
        /// What the system said.
        cause: String,
    },
    /// The connection was lost, or the server ended it. What was under way may have been done.
    #[error("the connection to the database was lost; try again")]
    Disconnected,
    /// The server takes no more connections.
    #[error(
        "the database server takes no more connections; lower max_connections of the hosts or raise it at the server"
    )]
    OutOfConnections,
    /// Others changed the same things at the same time, again and again.
    #[error("others changed the same at the same time; try again")]
    Conflict,
    /// The server does not let this user in.
    #[error(
        "the database server refuses the user; check user and password (TAVORA_STORAGE_PASSWORD or the storage URL)"
    )]
    AccessDenied,
    /// The server has no database of that name.
    #[error(
        "the database server has no database of that name; create it, or correct the storage URL"
    )]
    NoDatabase,
    /// TLS is demanded and the server has none.
    #[error(
        "the database server speaks no TLS, and the storage URL demands it; enable it there, or add sslmode=disable on a network that nobody else is on"
    )]
    TlsMissing,
    /// The server could not prove who it is.
    #[error(
        "the database server could not be verified ({cause}); check the host in the storage URL, or name its authority with sslrootcert=FILE"
    )]
    TlsRefused {
        /// What is wrong.
        cause: String,
    },
    /// The server only follows another one.
    #[error(
        "the database is a read-only replica or was made read-only; point the storage URL at the primary server"
    )]
    Standby,
    /// The schema is older, and this user may not change it.
    #[error(
        "the database has schema version {found} and this program needs {known}, and its user may not change tables; start once as the owner of the tables"
    )]
    OlderSchema {
        /// The version that was found.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// There are tables of something else.
    #[error("the database holds tables of something else; choose an empty one")]
    NotOurs,
    /// The database is structurally broken.
    #[error("the database is corrupt; restore it from a backup")]
    Corrupt,
    /// Anything else that the database said.
    #[error("the database reports an error")]
    Backend(#[source] Arc<dyn Error + Send + Sync>),
}

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
