//! The embedded store: one SQLite file.
//!
//! One thread writes and combines what arrives together into one commit. A pool of connections
//! serves reads. The settings are WAL, `synchronous = FULL` and `secure_delete = ON`. The
//! write-ahead log is emptied soon after deletes and overwrites, so that old ciphertext stays
//! nowhere. Only the owner can read the file and its companions. There is no exclusive lock:
//! several processes can work on one file and extend one audit chain.

mod apps;
mod chain;
mod columns;
mod file;
mod keks;
mod options;
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
    options::SqliteOptions,
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

/// A store in one SQLite file.
///
/// Its methods must be called inside a tokio runtime.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    verify_timeout: Duration,
}

impl SqliteStore {
    /// Opens a database and migrates it. A missing database is created with mode 0600. The call
    /// blocks, so it belongs into start-up.
    ///
    /// # Errors
    /// The file cannot be opened, is no vault database, or has a newer schema than this program
    /// knows.
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
        // A transaction that takes the write lock and changes nothing shows that a write could be
        // made, apart from free disk space. After a failed write, only a real write shows whether
        // there is space again. That is not tried each time, because anybody may ask.
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
