//! One transaction of a host: the changes that arrived together, and their audit entries.
//!
//! The transaction first locks the host's chain and then the apps that it touches. Releases share
//! the lock of an app; a change excludes them. All hosts lock in the same order, so that they never
//! wait for each other in a circle. A change is therefore committed and acknowledged only after
//! every release, on any host, that still read the state before it. Entries are chained in memory,
//! and one statement inserts them at the end. The file of each subject defines what its changes do.

use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
    time::Instant,
};

use async_trait::async_trait;
use futures::{
    FutureExt,
    future::{join, try_join3, try_join4},
};
use tokio_postgres::{Row, Statement};

use super::{
    ask::{Ask, Param},
    chain::Entries,
    columns::column,
    connections::Connection,
    find,
};
use crate::{
    audit::{AuditDraft, AuditEntry, ChainHash, ChainName},
    id::AppId,
    secret::SecretName,
    store::{StoreError, pending::Pending, release::Found},
};

/// Work for a transaction, repeated until one is committed.
#[async_trait]
pub(super) trait Change: Send + Sync + 'static {
    /// The result of the work.
    type Made: Send + Sync + 'static;

    /// The app whose releases must not be under way meanwhile.
    fn app(&self) -> Option<AppId> {
        None
    }

    /// The secret that the change releases. Such a change only appends an entry.
    fn released(&self) -> Option<(AppId, &SecretName)> {
        None
    }

    /// Whether the change only appends entries. Then nothing is left behind when it fails.
    fn only_appends(&self) -> bool {
        self.released().is_some()
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<Self::Made, StoreError>;
}

/// A change with its type erased.
#[async_trait]
pub(super) trait Job: Send + Sync {
    /// Whether nobody waits for the job any more.
    fn is_abandoned(&self) -> bool;
    fn asked_at(&self) -> Instant;
    fn app(&self) -> Option<AppId>;
    fn released(&self) -> Option<(AppId, &SecretName)>;
    fn only_appends(&self) -> bool;
    /// Makes the change and keeps its outcome. A panic is an outcome too, so that it does not end
    /// the writer.
    async fn run(&mut self, group: &mut Group<'_>) -> Result<(), StoreError>;
    /// Discards the job's findings, because they may no longer be true.
    fn expire(&mut self);
    /// Answers the caller, after the commit or instead of it.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A change and its caller.
pub(super) struct Task<C: Change> {
    change: C,
    pending: Pending<C::Made>,
}

impl<C: Change> Task<C> {
    pub(super) fn new(change: C, pending: Pending<C::Made>) -> Self {
        Self { change, pending }
    }
}

#[async_trait]
impl<C: Change> Job for Task<C> {
    fn is_abandoned(&self) -> bool {
        self.pending.is_abandoned()
    }

    fn asked_at(&self) -> Instant {
        self.pending.asked_at()
    }

    fn app(&self) -> Option<AppId> {
        self.change.app()
    }

    fn released(&self) -> Option<(AppId, &SecretName)> {
        self.change.released()
    }

    fn only_appends(&self) -> bool {
        self.change.only_appends()
    }

    async fn run(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let made = AssertUnwindSafe(self.change.make(group)).catch_unwind();
        self.pending
            .keep(made.await.unwrap_or(Err(StoreError::Panicked)))
    }

    fn expire(&mut self) {
        let _ = self.pending.keep(Err(StoreError::Disconnected));
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        self.pending.finish(committed);
    }
}

/// The last entry of a group that may or may not have been committed.
#[derive(Clone, Copy)]
pub(super) struct Unclear {
    seq: i64,
    hash: ChainHash,
}

/// Why an attempt at a group ended without a known commit.
pub(super) struct Failed {
    pub(super) error: StoreError,
    pub(super) unclear: Option<Unclear>,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            unclear: None,
        }
    }
}

/// An open transaction.
pub(super) struct Group<'a> {
    connection: &'a Connection,
    chain: &'a ChainName,
    entries: Entries,
    found: HashMap<(AppId, SecretName), Result<Found, StoreError>>,
}

impl<'a> Group<'a> {
    /// Makes all jobs in one transaction. A job that fails is undone without the others.
    pub(super) async fn make(
        connection: &'a Connection,
        chain: &'a ChainName,
        jobs: &mut [Box<dyn Job>],
        unclear: Option<Unclear>,
    ) -> Result<(), Failed> {
        let still_unclear = |error| Failed { error, unclear };
        let mut group = Self::begin(connection, chain, jobs)
            .await
            .map_err(still_unclear)?;
        if let Some(last) = unclear {
            // This transaction holds the chain now, so the earlier one has ended, one way or the
            // other.
            if group.was_committed(last).await.map_err(still_unclear)? {
                // The releases of the group were recorded, but their findings may have been removed
                // since.
                for job in jobs.iter_mut().filter(|job| job.released().is_some()) {
                    job.expire();
                }
                // This commit writes at least the lock of the chain, so it waits for a synchronous
                // standby. The earlier commit may not have waited for it. Until this commit
                // succeeds, the outcome of the earlier one stays uncertain.
                let committed = group.execute("COMMIT").await;
                return committed.map_err(still_unclear);
            }
        }
        let is_alone = jobs.len() == 1;
        for job in jobs {
            let guarded = !is_alone && !job.only_appends();
            let before = group.entries.mark();
            // The job's first query follows at once, so a savepoint costs no round trip of its own.
            let guard = async {
                match guarded {
                    true => connection.batch_execute("SAVEPOINT job").await,
                    false => Ok(()),
                }
            };
            let (guard, outcome) = join(guard, job.run(&mut group)).await;
            guard.map_err(StoreError::from)?;
            match outcome {
                Ok(()) => {}
                Err(error) if ends_everything(&error) => return Err(error.into()),
                Err(_) => {
                    group.entries.back_to(before);
                    match (is_alone, guarded) {
                        (true, _) => return Ok(group.execute("ROLLBACK").await?),
                        (false, true) => group.execute("ROLLBACK TO job").await?,
                        (false, false) => {}
                    }
                }
            }
        }
        group.commit().await
    }

    /// Sends everything that comes before the first job at once, which costs one round trip.
    async fn begin(
        connection: &'a Connection,
        chain: &'a ChainName,
        jobs: &[Box<dyn Job>],
    ) -> Result<Self, StoreError> {
        let mut locks = BTreeMap::new();
        for job in jobs {
            if let Some((app, _)) = job.released() {
                locks.entry(lock_of(app)).or_insert(false);
            }
            if let Some(app) = job.app() {
                locks.insert(lock_of(app), true);
            }
        }
        let (keys, alone): (Vec<i64>, Vec<bool>) = locks.into_iter().unzip();
        let (apps, names): (Vec<AppId>, Vec<SecretName>) = jobs
            .iter()
            .filter_map(|job| job.released())
            .map(|(app, name)| (app, name.clone()))
            .unzip();
        let head = connection.prepare_cached(HEAD).await?;
        let lock = connection.prepare_cached(LOCK).await?;
        let find = connection.prepare_cached(find::FIND).await?;
        let name = chain.as_str();
        let ((), head, _, found) = try_join4(
            connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
            connection.query_opt(&head, &[&name]),
            all(connection, &lock, !keys.is_empty(), &[&keys, &alone]),
            all(connection, &find, !apps.is_empty(), &[&apps, &names]),
        )
        .await?;
        let damaged = StoreError::Damaged {
            what: "the head of the audit",
        };
        let head = head.ok_or(damaged.clone())?;
        let hash: &[u8] = column(&head, 1)?;
        let hash = ChainHash::try_from(hash).map_err(|_| damaged)?;
        let found = apps
            .into_iter()
            .zip(names)
            .zip(found.iter().map(find::found));
        Ok(Self {
            connection,
            chain,
            entries: Entries::after(column(&head, 0)?, hash),
            found: found.collect(),
        })
    }

    /// The result of the query for a release of this secret.
    pub(super) fn found(&self, app: AppId, name: &SecretName) -> Result<Found, StoreError> {
        let found = self.found.get(&(app, name.clone()));
        // The group was begun with the same job, so the result is there.
        found.cloned().unwrap_or(Err(StoreError::Closed))
    }

    /// Appends an entry to the host's chain.
    pub(super) fn append(&mut self, entry: AuditDraft) -> Result<(), StoreError> {
        self.entries.append(self.chain, entry)
    }

    /// Appends an entry and returns it as lists will show it. An entry that no list could show is
    /// not appended.
    pub(super) fn record(&mut self, entry: AuditDraft) -> Result<AuditEntry, StoreError> {
        self.entries.record(self.chain, entry)
    }

    /// The name of this host.
    pub(super) fn host(&self) -> &str {
        self.chain.as_str()
    }

    pub(super) async fn change(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        self.connection.change(sql, params).await
    }

    async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.connection.batch_execute(sql).await?)
    }

    async fn was_committed(&self, last: Unclear) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM audit WHERE chain = $1 AND seq = $2 AND hash = $3";
        let hash = last.hash.as_bytes().as_slice();
        let row = self
            .row(sql, &[&self.chain.as_str(), &last.seq, &hash])
            .await?;
        Ok(row.is_some())
    }

    /// Inserts the entries, advances the chain and commits, in one round trip. If no answer
    /// arrives, the outcome stays unclear.
    async fn commit(self) -> Result<(), Failed> {
        let (connection, chain) = (self.connection, self.chain);
        let Some((seq, hash)) = self.entries.last() else {
            return Ok(self.execute("COMMIT").await?);
        };
        let insert = connection.prepare_cached(Entries::INSERT).await;
        let insert = insert.map_err(StoreError::from)?;
        let advance = connection.prepare_cached(ADVANCE).await;
        let advance = advance.map_err(StoreError::from)?;
        let columns = self.entries.columns(chain);
        let (name, bytes) = (chain.as_str(), hash.as_bytes().as_slice());
        let advanced: [Param<'_>; 3] = [&name, &seq, &bytes];
        let params = columns.params();
        let outcome = try_join3(
            connection.execute(&insert, &params),
            connection.execute(&advance, &advanced),
            connection.batch_execute("COMMIT"),
        );
        match outcome.await.map_err(StoreError::from) {
            Ok(_) => Ok(()),
            Err(error) => {
                let unclear = Unclear { seq, hash };
                Err(Failed {
                    unclear: matches!(error, StoreError::Disconnected).then_some(unclear),
                    error,
                })
            }
        }
    }
}

#[async_trait]
impl Ask for Group<'_> {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        self.connection.rows(sql, params).await
    }
}

pub(super) const HEAD: &str = "SELECT seq, hash FROM chains WHERE name = $1 FOR UPDATE";
pub(super) const ADVANCE: &str = "UPDATE chains SET seq = $2, hash = $3 WHERE name = $1";

/// The statement takes the locks in the order of the keys.
const LOCK: &str = "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(key)::text
    ELSE pg_advisory_xact_lock_shared(key)::text END FROM unnest($1::bigint[], $2::boolean[]) AS lock (key, alone)";

/// The key of an app's advisory lock: the random half of its id. Two apps that share a key only
/// wait for each other.
fn lock_of(app: AppId) -> i64 {
    let [.., a, b, c, d, e, f, g, h] = *app.as_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

async fn all(
    connection: &Connection,
    statement: &Statement,
    wanted: bool,
    params: &[Param<'_>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    match wanted {
        true => connection.query(statement, params).await,
        false => Ok(Vec::new()),
    }
}

/// Whether an error concerns the transaction and not only one of its jobs.
fn ends_everything(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Conflict
            | StoreError::Disconnected
            | StoreError::Standby
            | StoreError::Busy
            | StoreError::Full
            | StoreError::Panicked
    )
}
