//! How long sealing and opening take, for whoever watches over it. It decides nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::SecretVaults;

/// What sealing and opening secrets took, since the vaults were opened. An attempt that failed counts too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnvelopeStats {
    /// How many values were sealed.
    pub seals: u64,
    /// How long that took in all.
    pub seal_time: Duration,
    /// How many values were opened.
    pub opens: u64,
    /// How long that took in all.
    pub open_time: Duration,
}

impl SecretVaults {
    /// How long sealing and opening have taken, with the KEK provider's part in it.
    pub fn envelope_stats(&self) -> EnvelopeStats {
        let (seals, seal_time) = self.0.seals.total();
        let (opens, open_time) = self.0.opens.total();
        EnvelopeStats {
            seals,
            seal_time,
            opens,
            open_time,
        }
    }
}

/// Counts one kind of work and its time.
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

    fn total(&self) -> (u64, Duration) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        let count = self.count.load(Ordering::Relaxed);
        (count, Duration::from_nanos(nanoseconds))
    }
}
