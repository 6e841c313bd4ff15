//! The limits of the PostgreSQL store, and the name of the host.

use std::time::Duration;

use crate::audit::ChainName;

/// The limits of a [`PostgresStore`](super::PostgresStore), each with its default, and the name of
/// the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// The audit chain that this process extends. Processes with the same name share a chain and
    /// wait for each other.
    pub host: ChainName,
    /// Time limit for making a connection. Default: 5 s.
    pub connect_timeout: Duration,
    /// Time limit for a statement, including its wait for a lock, before the server ends it.
    /// Default: 4 s.
    pub statement_timeout: Duration,
    /// Limits the silence of a transaction before the server ends it. Others wait for the locks of
    /// a host that was cut off. Default: 2 s.
    pub idle_transaction_timeout: Duration,
    /// Time limit for any single operation in all. Default: 5 s.
    pub operation_timeout: Duration,
    /// Time limit for a check of the whole audit. Default: 10 min.
    pub verify_timeout: Duration,
    /// Limits the number of connections. One of them writes. Default: 8.
    pub connections_max: usize,
    /// Limits the attempts at an operation that a lost connection, a deadlock or a serialization
    /// failure ends. Default: 5.
    pub attempts_max: u32,
    /// Limits the writes in one commit. Default: 256.
    pub group_max_jobs: usize,
    /// Limits the waiting writes; further ones are refused. Default: 4,096.
    pub queue_max_jobs: usize,
}

impl PostgresOptions {
    /// The default limits, for the host of this name.
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
