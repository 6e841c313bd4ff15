//! Counts the work of a store's writer, for monitoring. Nothing is decided here.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::store::StoreStats;

/// The counts of one store.
#[derive(Default)]
pub struct Tally {
    waiting: AtomicU64,
    /// Whether the last group of writes failed to commit.
    is_failing: AtomicBool,
    /// All figures but `waiting`.
    done: Mutex<StoreStats>,
}

/// Held by a write from the call until it is done, refused or withdrawn. It counts the write as
/// waiting.
pub struct Ticket {
    tally: Arc<Tally>,
    asked_at: Instant,
}

impl Tally {
    /// Counts a write as waiting while the ticket lives.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ticket {
            tally: Arc::clone(self),
            asked_at: Instant::now(),
        }
    }

    /// Counts a commit of writes that were asked for at these times.
    pub fn committed(&self, asked_at: impl Iterator<Item = Instant>) {
        self.is_failing.store(false, Ordering::Relaxed);
        let now = Instant::now();
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.commits += 1;
        done.last_write_time = Default::default();
        for asked_at in asked_at {
            let took = now.saturating_duration_since(asked_at);
            done.writes += 1;
            done.write_time += took;
            done.last_write_time = done.last_write_time.max(took);
        }
    }

    /// Notes that a group of writes was not committed.
    pub fn failed(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
    }

    /// Whether the last group of writes was not committed.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// The figures so far.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            waiting: self.waiting.load(Ordering::Relaxed),
            ..*self.done.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

impl Ticket {
    /// When the write was asked for.
    pub fn asked_at(&self) -> Instant {
        self.asked_at
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
