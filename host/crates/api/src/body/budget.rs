//! How many bytes of bodies the host collects at once.

use tavora_server::{ByteBudget, PeerBudgets, ServerLimits};

/// What bodies that are being collected may take in the whole process.
pub(crate) struct BodyBudgets {
    pub(super) strangers: ByteBudget,
    /// Each peer's part of the strangers' budget, so that one of them cannot use it up.
    pub(super) peers: PeerBudgets,
    pub(super) admitted: ByteBudget,
}

impl BodyBudgets {
    pub(crate) fn new(limits: &ServerLimits) -> Self {
        Self {
            strangers: ByteBudget::new(limits.max_stranger_body_bytes),
            peers: PeerBudgets::new(limits.max_stranger_body_bytes_per_peer),
            admitted: ByteBudget::new(limits.max_collected_bytes),
        }
    }
}
