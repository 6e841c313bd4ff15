//! A write that someone waits for, in any store: its outcome, its answer and its time.
//!
//! The store's writer decides when the write is made, and in which transaction.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time};

use super::{
    StoreError,
    tally::{Tally, Ticket},
};

/// The writer's side of a write.
pub struct Pending<T> {
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    ticket: Ticket,
}

/// The caller's side of a write. Dropping it withdraws a write that has not begun.
pub struct Answer<T>(oneshot::Receiver<Result<T, StoreError>>);

/// Begins a write, which from now on counts as waiting.
pub fn pending<T>(tally: &Arc<Tally>) -> (Pending<T>, Answer<T>) {
    let (reply, answer) = oneshot::channel();
    let pending = Pending {
        outcome: None,
        reply,
        ticket: tally.ticket(),
    };
    (pending, Answer(answer))
}

impl<T> Pending<T> {
    /// Whether nobody waits for the write any more.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// When the write was asked for.
    pub fn asked_at(&self) -> Instant {
        self.ticket.asked_at()
    }

    /// Keeps the outcome until the commit is known. It replaces an earlier outcome.
    ///
    /// # Errors
    /// The outcome is an error.
    pub fn keep(&mut self, outcome: Result<T, StoreError>) -> Result<(), StoreError> {
        match self.outcome.insert(outcome) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        }
    }

    /// Answers the caller, after the commit or instead of it.
    pub fn finish(self, committed: Result<(), StoreError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(made)), Ok(())) => Ok(made),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // Count the write as done before answering: a caller that is answered must not still be
        // counted as waiting.
        drop(self.ticket);
        // The caller may have stopped waiting.
        drop(self.reply.send(outcome));
    }
}

impl<T> Answer<T> {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// The write failed, the writer ended without an answer, or the answer is late.
    pub async fn within(self, limit: Duration) -> Result<T, StoreError> {
        time::timeout(limit, self.0)
            .await
            .map_err(|_| StoreError::timed_out(limit))?
            .unwrap_or(Err(StoreError::Closed))
    }
}
