//! Errors of a store, each with a sentence that says what to do.
//!
//! The store's `columns` module translates a database's own errors. The host decides what clients
//! are told.

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use crate::{audit::DamagedEntry, key::KekId, revision::ConditionNotMet};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The app, vault or API key in question does not exist.
    #[error("what this is about is not in the store")]
    NotFound,
    /// The name is already in use.
    #[error("the name is taken")]
    Taken,
    /// The condition of a change is not met. Nothing was changed.
    #[error("the condition of the change is not met")]
    PreconditionFailed,
    /// The data belongs to other KEKs than the available ones.
    #[error("{rows} secrets need the KEK {wanted}, which is not in the keyring")]
    KekMismatch {
        /// The KEK that most rows need.
        wanted: KekId,
        /// The number of rows that need this KEK.
        rows: u64,
    },
    /// The store does not know the KEK: it never wrapped anything, or it was retired.
    #[error("the KEK {kek_id} is not known to the database")]
    UnknownKek {
        /// The KEK in question.
        kek_id: KekId,
    },
    /// Secrets are still wrapped with the KEK.
    #[error("{rows} secrets are wrapped with the KEK {kek_id}")]
    KekInUse {
        /// The KEK in question.
        kek_id: KekId,
        /// The number of those secrets.
        rows: u64,
    },
    /// The content of a row is not valid.
    #[error("{what} is damaged; restore it from a backup")]
    Damaged {
        /// The content that the row should have.
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
    /// The operation took too long.
    #[error("the store did not answer within {limit_ms} ms; check the disk and the load")]
    TimedOut {
        /// The limit that was exceeded.
        limit_ms: u64,
    },
    /// Too many writes are waiting.
    #[error("more than {queue_max_jobs} writes are waiting; try again later")]
    Overloaded {
        /// The limit that was exceeded.
        queue_max_jobs: usize,
    },
    /// The audit entry could be stored, but not read back.
    #[error(
        "the audit entry could not be read back and was not recorded; record fewer or simpler details"
    )]
    Unrecordable,
    /// The store's work panicked, and its changes were undone.
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
        /// The newest version that this program knows.
        known: i64,
    },
    /// An older program wrote the schema, and this operation needs the newest one.
    #[error(
        "the database has schema version {found} and version {known} is needed; run any command of this program on it, which migrates it"
    )]
    Unmigrated {
        /// The version that was found.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// A row has text that the database cannot store.
    #[error(
        "the {row} has in {column} what PostgreSQL cannot keep as text: a zero character, or bytes that are no UTF-8"
    )]
    Unkeepable {
        /// The row, in words for people.
        row: String,
        /// The column with the text.
        column: &'static str,
    },
    /// The file is no vault database.
    #[error("{path} is not a vault database; choose another file")]
    NotAVault {
        /// The path of the file.
        path: PathBuf,
    },
    /// A database's log is there, but the database is not.
    #[error(
        "{path} is the log of a database that is not there; move it away, or its database back to it"
    )]
    LogWithoutDatabase {
        /// The path of the log.
        path: PathBuf,
    },
    /// The file cannot be opened or created.
    #[error(
        "the database {path} cannot be opened; check that the folder exists and that this user may write there"
    )]
    Open {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Nothing answers at the address of the database.
    #[error(
        "the database cannot be reached ({cause}); check that its server runs, and the host and port in the storage URL"
    )]
    Unreachable {
        /// The system's error.
        cause: String,
    },
    /// The connection was lost, or the server ended it. Work under way may or may not have been
    /// done.
    #[error("the connection to the database was lost; try again")]
    Disconnected,
    /// The server accepts no more connections.
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
    /// TLS is demanded, but the server offers none.
    #[error(
        "the database server speaks no TLS, and the storage URL demands it; enable it there, or add sslmode=disable on a network that nobody else is on"
    )]
    TlsMissing,
    /// The server could not prove its identity.
    #[error(
        "the database server could not be verified ({cause}); check the host in the storage URL, or name its authority with sslrootcert=FILE"
    )]
    TlsRefused {
        /// The cause, in words.
        cause: String,
    },
    /// The server is a replica that only follows another one.
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
    /// The database holds tables of something else.
    #[error("the database holds tables of something else; choose an empty one")]
    NotOurs,
    /// The structure of the database is broken.
    #[error("the database is corrupt; restore it from a backup")]
    Corrupt,
    /// Any other error of the database.
    #[error("the database reports an error")]
    Backend(#[source] Arc<dyn Error + Send + Sync>),
}

impl StoreError {
    /// An operation took longer than its limit.
    pub fn timed_out(limit: Duration) -> Self {
        Self::TimedOut {
            limit_ms: limit.as_millis() as u64,
        }
    }
}

impl From<ConditionNotMet> for StoreError {
    fn from(ConditionNotMet: ConditionNotMet) -> Self {
        Self::PreconditionFailed
    }
}

impl From<DamagedEntry> for StoreError {
    fn from(DamagedEntry: DamagedEntry) -> Self {
        Self::Damaged {
            what: "an audit entry",
        }
    }
}
