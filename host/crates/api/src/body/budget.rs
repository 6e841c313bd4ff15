//! Limits the bytes of bodies that the host collects at once.

use tavora_server::{ByteBudget, PeerBudgets, ServerLimits};

/// Budgets for bodies that are being collected, in the whole process.
pub(crate) struct BodyBudgets {
    pub(super) strangers: ByteBudget,
    /// Each peer's part of the strangers' budget, so that no peer uses up all of it.
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
