//! The one task that writes. It combines the writes that arrive together into one transaction.
//!
//! There is one task because a host writes one audit chain, so more transactions would only wait
//! for each other. While one group is being committed, the next one gathers. A group that ends with
//! a lost connection, a deadlock or a serialization failure is made again. The task first finds out
//! whether the group was committed after all, so that nothing is done twice and nothing
//! acknowledged is lost. The file of each subject defines what its jobs do, and `group` defines the
//! transaction.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use super::{
    PostgresOptions,
    attempts::Attempts,
    connections::Connections,
    group::{Change, Failed, Group, Job, Task, Unclear},
};
use crate::store::{StoreError, StoreStats, pending::pending, tally::Tally};

pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    tally: Arc<Tally>,
    operation_timeout: Duration,
    queue_max_jobs: usize,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    pub(super) fn start(connections: Connections, options: PostgresOptions) -> Self {
        let (queue, messages) = mpsc::channel(options.queue_max_jobs);
        let tally = Arc::new(Tally::default());
        let writer = Self {
            queue,
            tally: Arc::clone(&tally),
            operation_timeout: options.operation_timeout,
            queue_max_jobs: options.queue_max_jobs,
        };
        let work = Work {
            connections,
            options,
            messages,
            tally,
            closing: None,
        };
        tokio::spawn(work.run());
        writer
    }

    /// Makes a change in the next group and returns when the group is committed. A caller that
    /// stops waiting withdraws a change that has not begun.
    pub(super) async fn change<C: Change>(&self, change: C) -> Result<C::Made, StoreError> {
        let (pending, answer) = pending(&self.tally);
        self.send(Box::new(Task::new(change, pending)))?;
        answer.within(self.operation_timeout).await
    }

    /// Ends the task after all waiting writes.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        // Allow time for the group that is being made and for one that gathered meanwhile.
        let limit = self.operation_timeout * 2;
        let closed = async {
            // If the task cannot be told, or does not answer, it has ended.
            if self.queue.send(Message::Close(reply)).await.is_ok() {
                drop(answer.await);
            }
        };
        time::timeout(limit, closed)
            .await
            .map_err(|_| StoreError::timed_out(limit))
    }

    pub(super) fn stats(&self) -> StoreStats {
        self.tally.stats()
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        use mpsc::error::TrySendError;
        self.queue
            .try_send(Message::Job(job))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Overloaded {
                    queue_max_jobs: self.queue_max_jobs,
                },
                TrySendError::Closed(_) => StoreError::Closed,
            })
    }
}

/// The state of the task.
struct Work {
    connections: Connections,
    options: PostgresOptions,
    messages: mpsc::Receiver<Message>,
    tally: Arc<Tally>,
    closing: Option<oneshot::Sender<()>>,
}

impl Work {
    async fn run(mut self) {
        while self.closing.is_none() {
            let Some(first) = self.messages.recv().await else {
                break;
            };
            let jobs = self.gather(first);
            if !jobs.is_empty() {
                self.make(jobs).await;
            }
        }
        self.messages.close();
        self.connections.close();
        if let Some(reply) = self.closing.take() {
            let _ = reply.send(());
        }
    }

    /// Collects this message and whatever else waits.
    fn gather(&mut self, first: Message) -> Vec<Box<dyn Job>> {
        let mut jobs = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Job(job) if job.is_abandoned() => {}
                Message::Job(job) => jobs.push(job),
                Message::Close(reply) => {
                    self.closing = Some(reply);
                    break;
                }
            }
            if jobs.len() >= self.options.group_max_jobs {
                break;
            }
            next = self.messages.try_recv().ok();
        }
        jobs
    }

    /// Makes a group in as many attempts as it takes, and answers all callers.
    async fn make(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        // Releases read the state before the group, so they come first.
        jobs.sort_by_key(|job| job.released().is_none());
        let committed = self.attempts(&mut jobs).await;
        match &committed {
            Ok(()) => self.tally.committed(jobs.iter().map(|job| job.asked_at())),
            Err(error) => {
                tracing::error!(%error, jobs = jobs.len(), "a group of writes was not committed");
                self.tally.failed();
            }
        }
        for job in jobs {
            job.finish(committed.clone());
        }
    }

    async fn attempts(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let limit = self.options.operation_timeout;
        let made = async {
            let mut attempts = Attempts::new(self.options.attempts_max);
            let mut unclear = None;
            loop {
                let Err(failed) = self.attempt(jobs, unclear).await else {
                    return Ok(());
                };
                unclear = failed.unclear;
                if !attempts.again_after(&failed.error).await {
                    // The group may have been committed, whatever the last error was.
                    return Err(unclear.map_or(failed.error, |_| StoreError::Disconnected));
                }
            }
        };
        time::timeout(limit, made)
            .await
            .unwrap_or_else(|_| Err(StoreError::timed_out(limit)))
    }

    async fn attempt(
        &self,
        jobs: &mut [Box<dyn Job>],
        unclear: Option<Unclear>,
    ) -> Result<(), Failed> {
        let connection = match self.connections.one().await {
            Ok(connection) => connection,
            Err(error) => return Err(Failed { error, unclear }),
        };
        Group::make(&connection, &self.options.host, jobs, unclear).await?;
        connection.give_back();
        Ok(())
    }
}
