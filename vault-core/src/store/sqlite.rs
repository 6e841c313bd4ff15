//! The embedded store: one SQLite file.
//!
//! Writes go through one thread that groups what arrives together into one commit; reads go to a pool of connections.
//! WAL, `synchronous = FULL`, `secure_delete = ON`; the write-ahead log is emptied after deletes and overwrites settle,
//! so that old ciphertext stays nowhere. The file and its companions are for the owner alone. There is no exclusive
//! lock: several processes can work on one file and extend one audit chain.

mod apps;
mod chain;
mod columns;
mod file;
mod keks;
mod reader;
mod rewrap;
mod schema;
mod secrets;
mod transfer;
mod vaults;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{
    file::SqliteFile,
    transfer::{SqliteSource, SqliteTarget},
};
use self::{
    reader::Readers,
    writer::{Effect, Writer},
};
use super::{Store, StoreError, StoreStats};
use crate::audit::{
    AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, Verifier, VerifyReport,
};

/// The limits of a [`SqliteStore`], each with a default that suits a small machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long to wait for another process that holds the write lock. 5 s.
    pub busy_timeout: Duration,
    /// How long any single operation may take in all. 10 s.
    pub operation_timeout: Duration,
    /// How long a check of the whole audit may take. 10 min.
    pub verify_timeout: Duration,
    /// How many writes one commit takes at the most. 256.
    pub group_max_jobs: usize,
    /// How long a group waits for as many writes as the one before it had. 200 µs; it costs a lone writer nothing.
    pub group_wait: Duration,
    /// How many writes may wait; more are refused. 4,096.
    pub queue_max_jobs: usize,
    /// How many reads run at once. 4.
    pub readers_max: usize,
    /// How long after the last delete or overwrite the write-ahead log is emptied. 200 ms.
    pub checkpoint_settle: Duration,
    /// How long old ciphertext may stay in the write-ahead log under constant writing. 5 s.
    pub checkpoint_force: Duration,
    /// How long closing tries to empty the write-ahead log while someone reads. 2 s.
    pub close_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(10),
            verify_timeout: Duration::from_secs(600),
            group_max_jobs: 256,
            group_wait: Duration::from_micros(200),
            queue_max_jobs: 4096,
            readers_max: 4,
            checkpoint_settle: Duration::from_millis(200),
            checkpoint_force: Duration::from_secs(5),
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// A store in one SQLite file.
///
/// Its methods must be called inside a tokio runtime.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    verify_timeout: Duration,
}

impl SqliteStore {
    /// Opens a database, creates it (mode 0600) when it is not there, and migrates it. It blocks; call it at start-up.
    ///
    /// # Errors
    /// The file cannot be opened, is no vault database, or has a newer schema than this program knows.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let connection = schema::open_writer(path, options.busy_timeout)?;
        let readers = Arc::new(Readers::open(path, &options)?);
        let verify_timeout = options.verify_timeout;
        Ok(Self {
            writer: Writer::start(connection, options)?,
            readers,
            verify_timeout,
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, entry: AuditDraft) -> Result<AuditEntry, StoreError> {
        self.writer
            .write(Effect::Appends, move |tx| chain::record(tx, entry))
            .await
    }

    async fn audit_page(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.readers.read(move |tx| chain::page(tx, &query)).await
    }

    async fn audit_batch(
        &self,
        query: AuditQuery,
        before_place: Option<i64>,
    ) -> Result<AuditBatch, StoreError> {
        self.readers
            .read(move |tx| chain::batch(tx, &query, before_place))
            .await
    }

    async fn verify(&self, verifier: Verifier) -> Result<VerifyReport, StoreError> {
        self.readers
            .read_within(self.verify_timeout, move |tx| chain::verify(tx, verifier))
            .await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.readers
            .read(|tx| Ok(tx.query_row("SELECT 1 FROM teams", [], |_| Ok(()))?))
            .await?;
        // Taking the write lock and rewriting nothing shows that a write could be made, the disk's room aside. Whether
        // there is room again after a write failed, only one that is made can show: anybody may ask, so not each time.
        let is_failing = self.writer.is_failing();
        self.writer
            .write(Effect::Changes, move |tx| {
                if is_failing {
                    schema::write_version(tx)?;
                }
                Ok(tx.execute_batch("UPDATE keks SET wraps = wraps WHERE 0")?)
            })
            .await
    }

    fn stats(&self) -> StoreStats {
        self.writer.stats()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        self.writer.close().await
    }
}
