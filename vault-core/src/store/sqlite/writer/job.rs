//! A write on its way through the writer's thread: its work, and the effect of the work on the
//! database.
//!
//! `writer` decides when it runs, and in which transaction.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use rusqlite::Connection;

use crate::store::{StoreError, pending::Pending};

/// The effect of a write on the database, as far as the writer must know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Effect {
    /// The write appends one row with its only writing statement and does not fail afterwards.
    /// SQLite undoes a failed statement by itself. So the write needs no savepoint, which would
    /// copy each page that it changes.
    Appends,
    /// The write changes several things.
    Changes,
    /// The write leaves ciphertext in the write-ahead log that must go.
    Erases,
}

/// A write with its type erased.
pub(super) trait Job: Send {
    /// Whether nobody waits for the write any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work and keeps its outcome. A panic is an outcome too, so that no job ends the
    /// thread. The caller undoes the changes after an error.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// The effect of the work.
    fn effect(&self) -> Effect;
    /// When the caller asked for the write.
    fn asked_at(&self) -> Instant;
    /// Answers the caller, after the commit or instead of it.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A write and its caller.
pub(super) struct Task<T, F> {
    effect: Effect,
    work: Option<F>,
    pending: Pending<T>,
}

impl<T, F> Task<T, F> {
    pub(super) fn new(effect: Effect, work: F, pending: Pending<T>) -> Self {
        Self {
            effect,
            work: Some(work),
            pending,
        }
    }
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, StoreError> + Send> Job for Task<T, F> {
    fn is_abandoned(&self) -> bool {
        self.pending.is_abandoned()
    }

    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let work = self.work.take().ok_or(StoreError::Closed)?;
        // Nothing half done survives a panic: the caller undoes the changes, and SQLite resets
        // dropped statements.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or(Err(StoreError::Panicked));
        self.pending.keep(outcome)
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn asked_at(&self) -> Instant {
        self.pending.asked_at()
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        self.pending.finish(committed);
    }
}
