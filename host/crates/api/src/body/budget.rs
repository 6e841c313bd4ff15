//! Limits the bytes of bodies that the host collects at once.

use tavora_server::{ByteBudget, ServerLimits, StrangersBudget};

/// Budgets for bodies that are being collected, in the whole process.
pub(crate) struct BodyBudgets {
    pub(super) strangers: StrangersBudget,
    pub(super) admitted: ByteBudget,
}

impl BodyBudgets {
    pub(crate) fn new(limits: &ServerLimits) -> Self {
        Self {
            strangers: StrangersBudget::new(
                limits.max_stranger_body_bytes,
                limits.max_stranger_body_bytes_per_peer,
            ),
            admitted: ByteBudget::new(limits.max_collected_bytes),
        }
    }
}
