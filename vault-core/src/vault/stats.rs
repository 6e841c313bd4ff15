//! How the store and the envelope keep up, for whoever watches over them.

use std::time::Duration;

use super::SecretVaults;
use crate::store::StoreStats;

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

    /// How the store keeps up with what is written to it.
    pub fn store_stats(&self) -> StoreStats {
        self.0.store.stats()
    }
}
