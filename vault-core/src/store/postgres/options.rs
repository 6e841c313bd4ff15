//! The limits of the store in PostgreSQL, and which host it is.

use std::time::Duration;

use crate::audit::ChainName;

/// The limits of a [`PostgresStore`](super::PostgresStore), each with its default, and which host this is.
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
