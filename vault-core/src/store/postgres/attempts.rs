//! Trying again what a passing trouble of the database ended.

use std::time::Duration;

use tokio::time;

use crate::store::StoreError;

/// How often something is tried again, and how long is waited in between.
pub(super) struct Attempts {
    left: u32,
    pause: Duration,
}

impl Attempts {
    /// How long to wait before the second attempt; each further one waits twice as long.
    const FIRST_PAUSE: Duration = Duration::from_millis(20);

    pub(super) fn new(max: u32) -> Self {
        Self {
            left: max.saturating_sub(1),
            pause: Self::FIRST_PAUSE,
        }
    }

    /// Waits and says that there is another attempt, unless there is none left or it would end the same way.
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
