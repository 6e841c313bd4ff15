//! Counts work and measures its time. Nothing is decided here.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The count and the time of one kind of work.
#[derive(Default)]
pub(super) struct Tally {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Tally {
    /// Does `work` and counts it.
    pub(super) async fn time<T>(&self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }

    /// The count and the time in all.
    pub(super) fn total(&self) -> (u64, Duration) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        let count = self.count.load(Ordering::Relaxed);
        (count, Duration::from_nanos(nanoseconds))
    }
}
