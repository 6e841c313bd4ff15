//! The store for more than one host: a PostgreSQL database.
//!
//! Hosts that point at one database are equal, and any of them may end at any time: all they keep is in the database.
//! Each writes an audit chain of its own, through one task that makes what arrives together one transaction; reads go to
//! a pool of connections. Rows are sealed exactly as in SQLite, and no extension is needed. What a replica, an archive
//! or a dead row version still holds of deleted ciphertext is the database's business and not this program's.

mod apps;
mod chain;
mod columns;
mod connections;
mod group;
mod keks;
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
use tokio_postgres::{IsolationLevel, Row};

use self::{
    connections::{Connections, Param},
    group::{Change, Group},
    writer::Writer,
};
pub use self::{
    transfer::{PostgresSource, PostgresTarget},
    url::{InvalidPostgresUrl, PostgresUrl},
};
use super::{Store, StoreError, StoreStats};
use crate::audit::{
    AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, ChainName, Verifier, VerifyReport,
};

/// The limits of a [`PostgresStore`], each with its default, and which host this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Which chain of the audit this process extends. Processes of the same name share it, and wait for each other.
    pub host: ChainName,
    /// How long making a connection may take. 5 s.
    pub connect_timeout: Duration,
    /// How long a statement may take, and wait for locks, before the server ends it. 4 s.
    pub statement_timeout: Duration,
    /// How long a transaction may be silent before the server ends it: what a host that was cut off holds, others wait
    /// for. 2 s.
    pub idle_transaction_timeout: Duration,
    /// How long any single operation may take in all. 5 s.
    pub operation_timeout: Duration,
    /// How long a check of the whole audit may take. 10 min.
    pub verify_timeout: Duration,
    /// How many connections there are at the most; one of them writes. 8.
    pub connections_max: usize,
    /// How often something is tried that a lost connection, a deadlock or a serialization failure ended. 5.
    pub attempts_max: u32,
    /// How many writes one commit takes at the most. 256.
    pub group_max_jobs: usize,
    /// How many writes may wait; more are refused. 4,096.
    pub queue_max_jobs: usize,
}

impl PostgresOptions {
    /// The defaults, for the host of this name.
    pub fn of(host: ChainName) -> Self {
        Self {
            host,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(4),
            idle_transaction_timeout: Duration::from_secs(2),
            operation_timeout: Duration::from_secs(5),
            verify_timeout: Duration::from_secs(600),
            connections_max: 8,
            attempts_max: 5,
            group_max_jobs: 256,
            queue_max_jobs: 4096,
        }
    }
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    writer: Writer,
    readers: Readers,
    verify_timeout: Duration,
}

impl PostgresStore {
    /// Connects to a database, and migrates it. `tls` is used where the URL demands TLS.
    ///
    /// # Errors
    /// The database cannot be reached, does not let this user in, can only be read, holds something else, or has a newer
    /// schema than this program knows.
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
            // It takes longer than other statements; the connection goes with it.
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
        let timed_out = |_| StoreError::TimedOut {
            limit_ms: limit.as_millis() as u64,
        };
        time::timeout(limit, verify).await.map_err(timed_out)?
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.readers.rows("SELECT 1 FROM teams", &[]).await?;
        // A transaction that takes hold of the host's chain and changes nothing shows that a write could be made, the
        // disk's room aside.
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

/// Whom a statement can be asked of.
#[async_trait]
trait Ask: Send + Sync {
    /// The rows that a statement gives.
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError>;

    /// The first of them, if there is one.
    async fn row(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }
}

/// The connections that read, each statement in a snapshot of its own.
struct Readers {
    connections: Connections,
    operation_timeout: Duration,
    attempts_max: u32,
}

#[async_trait]
impl Ask for Readers {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut attempts = Attempts::new(self.attempts_max);
        let limit = self.operation_timeout;
        let read = async {
            loop {
                match self.read(sql, params).await {
                    Err(error) if attempts.again_after(&error).await => {}
                    outcome => return outcome,
                }
            }
        };
        let outcome = time::timeout(limit, read).await;
        outcome.unwrap_or_else(|_| {
            // Whatever keeps one connection silent keeps the others.
            self.connections.forget_idle();
            Err(StoreError::TimedOut {
                limit_ms: limit.as_millis() as u64,
            })
        })
    }
}

impl Readers {
    async fn read(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let connection = self.connections.one().await?;
        let rows = connection.rows(sql, params).await;
        match &rows {
            Ok(_) => connection.give_back(),
            Err(StoreError::Disconnected) => self.connections.forget_idle(),
            Err(_) => {}
        }
        rows
    }
}

/// How often something is tried again, and how long is waited in between.
struct Attempts {
    left: u32,
    pause: Duration,
}

impl Attempts {
    /// How long to wait before the second attempt; each further one waits twice as long.
    const FIRST_PAUSE: Duration = Duration::from_millis(20);

    fn new(max: u32) -> Self {
        Self {
            left: max.saturating_sub(1),
            pause: Self::FIRST_PAUSE,
        }
    }

    /// Waits and says that there is another attempt, unless there is none left or it would end the same way.
    async fn again_after(&mut self, error: &StoreError) -> bool {
        let is_passing = matches!(
            error,
            StoreError::Conflict | StoreError::Disconnected | StoreError::Unreachable { .. }
        );
        if !is_passing || self.left == 0 {
            return false;
        }
        tracing::warn!(%error, left = self.left, "the database is asked again");
        self.left -= 1;
        time::sleep(self.pause).await;
        self.pause *= 2;
        true
    }
}
