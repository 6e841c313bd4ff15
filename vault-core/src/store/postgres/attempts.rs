//! Retries after a passing trouble of the database.

use std::time::Duration;

use tokio::time;

use crate::store::StoreError;

/// The attempts that are left, and the pause between them.
pub(super) struct Attempts {
    left: u32,
    pause: Duration,
}

impl Attempts {
    /// The pause before the second attempt. It doubles for each further one.
    const FIRST_PAUSE: Duration = Duration::from_millis(20);

    pub(super) fn new(max: u32) -> Self {
        Self {
            left: max.saturating_sub(1),
            pause: Self::FIRST_PAUSE,
        }
    }

    /// Waits and returns whether there is another attempt. There is none when all are used up or
    /// another would fail the same way.
    pub(super) async fn again_after(&mut self, error: &StoreError) -> bool {
        let is_passing = matches!(
            error,
            StoreError::Conflict | StoreError::Disconnected | StoreError::Unreachable { .. }
        );
        if !is_passing || self.left == 0 {
            return false;
        }
        tracing::warn!(%error, left = self.left, "the database is asked again");
        self.left -= 1;
        time::sleep(self.pause).await;
        self.pause *= 2;
        true
    }
}
