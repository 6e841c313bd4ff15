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
