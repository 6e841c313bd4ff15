//! Figures about the store and the envelope, for monitoring.

use std::time::Duration;

use super::SecretVaults;
use crate::store::StoreStats;

/// Counts and times of sealing and opening since the vaults were opened. Failed attempts count too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnvelopeStats {
    /// The number of values that were sealed.
    pub seals: u64,
    /// The time that sealing took in all.
    pub seal_time: Duration,
    /// The number of values that were opened.
    pub opens: u64,
    /// The time that opening took in all.
    pub open_time: Duration,
}

impl SecretVaults {
    /// Counts and times of sealing and opening, including the time of the KEK provider.
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

    /// Figures about the store's writes.
    pub fn store_stats(&self) -> StoreStats {
        self.0.store.stats()
    }
}
