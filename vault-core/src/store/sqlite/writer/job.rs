//! One write on its way through the writer's thread: its work, and what that does to the database.
//!
//! When it runs, and in which transaction, is decided in `writer`.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use rusqlite::Connection;

use crate::store::{StoreError, pending::Pending};

/// What a write does to the database, as far as the writer must know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Effect {
    /// It appends one row with its only writing statement, which SQLite undoes by itself when it fails, and fails at
    /// nothing after that. It needs no savepoint, and with it no copy of each page that it changes.
    Appends,
    /// It changes several things.
    Changes,
    /// It changes things and leaves ciphertext in the write-ahead log that must not stay anywhere.
    Erases,
}

/// A write without its type.
pub(super) trait Job: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work and keeps its outcome; a panic is one, so that no job ends the thread. After an error its effects
    /// are to be undone.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// What its work does.
    fn effect(&self) -> Effect;
    /// When it was asked for.
    fn asked_at(&self) -> Instant;
    /// Tells whoever waits, after the commit or instead of it.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A write, and who waits for it.
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
        // Nothing that a panic leaves half done survives: the caller undoes the changes, and SQLite resets statements
        // that are dropped.
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
