//! The limits of the embedded store.

use std::time::Duration;

/// The limits of a [`SqliteStore`](super::SqliteStore). Each default suits a small machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Limits the wait for another process that holds the write lock. Default: 5 s.
    pub busy_timeout: Duration,
    /// Time limit for any single operation in all. Default: 10 s.
    pub operation_timeout: Duration,
    /// Time limit for a check of the whole audit. Default: 10 min.
    pub verify_timeout: Duration,
    /// Limits the writes in one commit. Default: 256.
    pub group_max_jobs: usize,
    /// Limits the time that a group waits for as many writes as the last group had. The wait costs
    /// a lone writer nothing. Default: 200 µs.
    pub group_wait: Duration,
    /// Limits the waiting writes; further ones are refused. Default: 4,096.
    pub queue_max_jobs: usize,
    /// Limits concurrent reads. Default: 4.
    pub readers_max: usize,
    /// The write-ahead log is emptied this long after the last delete or overwrite. Default: 200
    /// ms.
    pub checkpoint_settle: Duration,
    /// Limits how long old ciphertext stays in the write-ahead log under constant writing. Default:
    /// 5 s.
    pub checkpoint_force: Duration,
    /// Limits the time that closing tries to empty the write-ahead log while someone reads.
    /// Default: 2 s.
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
