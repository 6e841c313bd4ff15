//! The one thread that writes. It combines the writes that arrive together into one commit.
//!
//! Each job that changes more than one thing runs in a savepoint, so that a failed job takes no
//! other with it. The group is committed once, and callers are answered only then. While a commit
//! waits for the disk the next group gathers, so no job waits for company. The thread also empties
//! the write-ahead log when deleted or overwritten ciphertext may be in it.

mod job;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::{sync::oneshot, time};

pub(super) use self::job::Effect;
use self::job::{Job, Task};
use super::SqliteOptions;
use crate::store::{StoreError, StoreStats, pending::pending, tally::Tally};

/// Limits the time that one attempt to empty the log waits for readers. Another attempt follows.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(20);

/// The pause between attempts to get the write lock from another process. SQLite would wait longer
/// and longer: a process that writes batch after batch would keep this one out for most of a
/// second.
const LOCK_NAP: Duration = Duration::from_micros(500);

/// The time that a group sleeps at once while it waits for more jobs.
const GATHER_NAP: Duration = Duration::from_micros(20);

pub(super) struct Writer {
    queue: SyncSender<Message>,
    tally: Arc<Tally>,
    operation_timeout: Duration,
    close_timeout: Duration,
    queue_max_jobs: usize,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        options: SqliteOptions,
    ) -> Result<Self, StoreError> {
        // The thread waits for the write lock itself.
        connection.busy_timeout(Duration::ZERO)?;
        let (queue, messages) = sync_channel(options.queue_max_jobs);
        let tally = Arc::new(Tally::default());
        let (operation_timeout, close_timeout) = (options.operation_timeout, options.close_timeout);
        let queue_max_jobs = options.queue_max_jobs;
        let work = Work {
            connection,
            options,
            messages,
            tally: Arc::clone(&tally),
            last_group: 1,
            // The last writer may have been killed before it emptied the log.
            erased_since: Some(Instant::now()),
            quiet_since: Instant::now(),
            closing: None,
        };
        thread::Builder::new()
            .name("vault-writer".to_owned())
            .spawn(move || work.run())
            .map_err(|error| StoreError::Backend(Arc::new(error)))?;
        Ok(Self {
            queue,
            tally,
            operation_timeout,
            close_timeout,
            queue_max_jobs,
        })
    }

    /// Runs `work` in the next group and returns when the group is committed. A caller that stops
    /// waiting withdraws a job that has not begun.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        effect: Effect,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (pending, answer) = pending(&self.tally);
        self.send(Message::Job(Box::new(Task::new(effect, work, pending))))?;
        answer.within(self.operation_timeout).await
    }

    /// Ends the thread after all waiting writes, with the write-ahead log emptied where readers
    /// allow it.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.send(Message::Close(reply)) {
            Err(StoreError::Closed) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                let limit = self.operation_timeout + self.close_timeout;
                match time::timeout(limit, answer).await {
                    // A dropped answer means that another call closed the writer meanwhile.
                    Ok(_) => Ok(()),
                    Err(_) => Err(StoreError::timed_out(limit)),
                }
            }
        }
    }

    pub(super) fn stats(&self) -> StoreStats {
        self.tally.stats()
    }

    /// Whether the last group of writes could not be committed.
    pub(super) fn is_failing(&self) -> bool {
        self.tally.is_failing()
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        self.queue
            .try_send(message)
            .map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Overloaded {
                    queue_max_jobs: self.queue_max_jobs,
                },
                TrySendError::Disconnected(_) => StoreError::Closed,
            })
    }
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// The state of the thread.
struct Work {
    connection: Connection,
    options: SqliteOptions,
    messages: Receiver<Message>,
    tally: Arc<Tally>,
    /// The number of jobs in the last group; the next group is likely to have as many.
    last_group: usize,
    /// The time since which the log may hold ciphertext that must be removed.
    erased_since: Option<Instant>,
    /// When the last group or the last attempt to empty the log ended.
    quiet_since: Instant,
    closing: Option<oneshot::Sender<()>>,
}

impl Work {
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(Message::Job(job)) => self.group(job),
                Ok(Message::Close(reply)) => self.closing = Some(reply),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.last_checkpoint(),
            }
            if let Some(reply) = self.closing.take() {
                self.last_checkpoint();
                // Free the file before answering. The caller may have stopped listening.
                drop(self);
                let _ = reply.send(());
                return;
            }
            if self.checkpoint_wait().is_some_and(|wait| wait.is_zero()) {
                self.checkpoint();
            }
        }
    }

    fn next(&self) -> Result<Message, RecvTimeoutError> {
        match self.checkpoint_wait() {
            Some(wait) => self.messages.recv_timeout(wait),
            None => self
                .messages
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn group(&mut self, first: Box<dyn Job>) {
        if first.is_abandoned() {
            return;
        }
        let mut jobs = Vec::with_capacity(self.last_group);
        let committed = match self.begin() {
            Ok(()) => self
                .run_jobs(first, &mut jobs)
                .and_then(|()| self.execute("COMMIT")),
            Err(error) => {
                jobs.push(first);
                Err(error)
            }
        };
        match &committed {
            Ok(()) => {
                let asked = jobs.iter().map(|job| job.asked_at());
                self.tally.committed(asked);
                if jobs.iter().any(|job| job.effect() == Effect::Erases) {
                    self.erased_since.get_or_insert_with(Instant::now);
                }
            }
            Err(error) => {
                tracing::error!(%error, jobs = jobs.len(), "a group of writes was not committed");
                self.tally.failed();
                if !self.connection.is_autocommit() {
                    // An error here can be ignored: it leaves a transaction open, and the next
                    // BEGIN reports that.
                    drop(self.execute("ROLLBACK"));
                }
            }
        }
        self.last_group = jobs.len();
        self.quiet_since = Instant::now();
        for job in jobs {
            job.finish(committed.clone());
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.options.busy_timeout;
        loop {
            match self.execute("BEGIN IMMEDIATE") {
                Err(StoreError::Busy) if Instant::now() < deadline => thread::sleep(LOCK_NAP),
                outcome => return outcome,
            }
        }
    }

    /// Runs the first job and all others that belong to the group.
    fn run_jobs(
        &mut self,
        first: Box<dyn Job>,
        jobs: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), StoreError> {
        let gather_until = Instant::now() + self.options.group_wait;
        let mut next = Some(first);
        while let Some(mut job) = next {
            if !job.is_abandoned() {
                let outcome = self.run_job(&mut *job);
                jobs.push(job);
                outcome?;
            }
            next = if jobs.len() < self.options.group_max_jobs {
                self.company(jobs.len(), gather_until)
            } else {
                None
            };
        }
        Ok(())
    }

    /// Fails only when the whole transaction has failed.
    fn run_job(&self, job: &mut dyn Job) -> Result<(), StoreError> {
        let guarded = job.effect() != Effect::Appends;
        if guarded {
            self.execute("SAVEPOINT job")?;
        }
        let changes = self.connection.total_changes();
        if let Err(error) = job.run(&self.connection) {
            let left_changes = !guarded && self.connection.total_changes() != changes;
            if self.connection.is_autocommit() || left_changes {
                // SQLite has rolled back everything, or only rolling back everything undoes this
                // job.
                return Err(error);
            }
            if guarded {
                self.execute("ROLLBACK TO job")?;
            }
        }
        if guarded {
            self.execute("RELEASE job")
        } else {
            Ok(())
        }
    }

    /// The next job of the group. It already waits, or it arrives in time while the group is
    /// smaller than the last one.
    fn company(&mut self, jobs: usize, gather_until: Instant) -> Option<Box<dyn Job>> {
        let mut message = self.messages.try_recv();
        // Sleep instead of waiting on the queue, so that senders need not wake this thread one by
        // one.
        while message.is_err()
            && self.closing.is_none()
            && jobs < self.last_group
            && Instant::now() < gather_until
        {
            thread::sleep(GATHER_NAP);
            message = self.messages.try_recv();
        }
        let message = message.ok()?;
        match message {
            Message::Job(job) => Some(job),
            Message::Close(reply) => {
                self.closing = Some(reply);
                None
            }
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// The time until the log is to be emptied; `None` when nothing calls for it.
    fn checkpoint_wait(&self) -> Option<Duration> {
        let forced = self.erased_since? + self.options.checkpoint_force;
        let settled = self.quiet_since + self.options.checkpoint_settle;
        Some(
            forced
                .min(settled)
                .saturating_duration_since(Instant::now()),
        )
    }

    /// Copies the log into the database and truncates it. Returns whether that worked.
    fn checkpoint(&mut self) -> bool {
        let outcome = self
            .connection
            .busy_timeout(CHECKPOINT_WAIT)
            .and_then(|()| {
                let blocked = "PRAGMA wal_checkpoint(TRUNCATE)";
                let blocked = self
                    .connection
                    .query_row(blocked, [], |row| row.get::<_, bool>(0));
                self.connection.busy_timeout(Duration::ZERO)?;
                blocked
            });
        self.quiet_since = Instant::now();
        if let Err(error) = &outcome {
            tracing::warn!(%error, "the write-ahead log could not be emptied; trying again");
        }
        // After an attempt that readers prevented, the next one waits its turn, forced or not.
        self.erased_since = if matches!(outcome, Ok(false)) {
            None
        } else {
            Some(self.quiet_since)
        };
        self.erased_since.is_none()
    }

    fn last_checkpoint(&mut self) {
        let deadline = Instant::now() + self.options.close_timeout;
        while self.erased_since.is_some() && !self.checkpoint() && Instant::now() < deadline {
            thread::sleep(CHECKPOINT_WAIT);
        }
    }
}

#[cfg(test)]
mod tests;
