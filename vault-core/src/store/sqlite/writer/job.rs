//! One write on its way through the writer's thread: its work, its outcome, and who waits for it.
//!
//! When it runs, and in which transaction, is decided in `writer`.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::{StoreError, tally::Ticket};

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

/// A write, its outcome once there is one, and who waits for it.
pub(super) struct Task<T, F> {
    effect: Effect,
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    ticket: Ticket,
}

impl<T, F> Task<T, F> {
    pub(super) fn new(
        effect: Effect,
        work: F,
        reply: oneshot::Sender<Result<T, StoreError>>,
        ticket: Ticket,
    ) -> Self {
        Self {
            effect,
            work: Some(work),
            outcome: None,
            reply,
            ticket,
        }
    }
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, StoreError> + Send> Job for Task<T, F> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let work = self.work.take().ok_or(StoreError::Closed)?;
        // Nothing that a panic leaves half done survives: the caller undoes the changes, and SQLite resets statements
        // that are dropped.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or(Err(StoreError::Panicked));
        match self.outcome.insert(outcome) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        }
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn asked_at(&self) -> Instant {
        self.ticket.asked_at()
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // Who hears that it is done must not find it counted as waiting.
        drop(self.ticket);
        // Whoever stopped waiting does not hear of it.
        drop(self.reply.send(outcome));
    }
}
