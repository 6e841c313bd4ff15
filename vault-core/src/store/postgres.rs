//! The store for more than one host: a PostgreSQL database.
//!
//! Hosts that share a database are equal, and any of them may end at any time, because they keep
//! everything in the database. Each host writes its own audit chain. One task combines the writes
//! that arrive together into one transaction, and a pool of connections serves reads. Rows are
//! sealed exactly as in SQLite, and no extension is needed. Replicas, archives and dead row
//! versions may still hold deleted ciphertext; this program cannot erase it there.

mod apps;
mod ask;
mod attempts;
mod chain;
mod columns;
mod connections;
mod find;
mod group;
mod keks;
mod options;
mod readers;
mod rewrap;
mod schema;
mod secrets;
mod transfer;
mod url;
mod vaults;
mod writer;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time;
use tokio_postgres::IsolationLevel;

use self::{
    ask::Ask,
    connections::Connections,
    group::{Change, Group},
    readers::Readers,
    writer::Writer,
};
pub use self::{
    options::PostgresOptions,
    transfer::{PostgresSource, PostgresTarget},
    url::{InvalidPostgresUrl, PostgresUrl},
};
use super::{Store, StoreError, StoreStats};
use crate::audit::{
    AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, Verifier, VerifyReport,
};

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    writer: Writer,
    readers: Readers,
    verify_timeout: Duration,
}

impl PostgresStore {
    /// Connects to a database and migrates it. `tls` is used where the URL demands TLS.
    ///
    /// # Errors
    /// The database cannot be reached, refuses this user, is read-only, holds something else, or
    /// has a newer schema than this program knows.
    pub async fn open(
        url: &PostgresUrl,
        tls: Arc<rustls::ClientConfig>,
        options: PostgresOptions,
    ) -> Result<Self, StoreError> {
        let connections = |max| Connections::new(url, &tls, max, &options);
        let writing = connections(1)?;
        let mut connection = writing.one().await?;
        schema::migrate(&mut connection).await?;
        chain::begin(&connection, &options.host).await?;
        drop(connection);
        Ok(Self {
            readers: Readers {
                connections: connections(options.connections_max.saturating_sub(1).max(1))?,
                operation_timeout: options.operation_timeout,
                attempts_max: options.attempts_max,
            },
            verify_timeout: options.verify_timeout,
            writer: Writer::start(writing, options),
        })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn append(&self, entry: AuditDraft) -> Result<AuditEntry, StoreError> {
        self.writer.change(Append { entry }).await
    }

    async fn audit_page(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        chain::page(&self.readers, &query).await
    }

    async fn audit_batch(
        &self,
        query: AuditQuery,
        before_place: Option<i64>,
    ) -> Result<AuditBatch, StoreError> {
        chain::batch(&self.readers, &query, before_place).await
    }

    async fn verify(&self, verifier: Verifier) -> Result<VerifyReport, StoreError> {
        let limit = self.verify_timeout;
        let verify = async {
            let mut connection = self.readers.connections.one().await?;
            // A check takes longer than other statements. The setting ends with this connection.
            connection
                .batch_execute("SET statement_timeout = 0")
                .await?;
            let tx = connection
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await?;
            chain::verify(&tx, verifier).await
        };
        time::timeout(limit, verify)
            .await
            .map_err(|_| StoreError::timed_out(limit))?
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.readers.rows("SELECT 1 FROM teams", &[]).await?;
        // A transaction that locks the host's chain and changes nothing shows that a write could be
        // made, apart from free disk space.
        self.writer.change(Nothing).await
    }

    fn stats(&self) -> StoreStats {
        self.writer.stats()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.connections.close();
        self.writer.close().await
    }
}

struct Append {
    entry: AuditDraft,
}

#[async_trait]
impl Change for Append {
    type Made = AuditEntry;

    fn only_appends(&self) -> bool {
        true
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<AuditEntry, StoreError> {
        group.record(self.entry.clone())
    }
}

struct Nothing;

#[async_trait]
impl Change for Nothing {
    type Made = ();

    fn only_appends(&self) -> bool {
        true
    }

    async fn make(&self, _: &mut Group<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}
