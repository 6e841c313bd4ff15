//! Retries of a request, and the waits before them. A request is repeated only where the upstream
//! certainly did nothing with it, and within bounds.

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::request::Stage;
use crate::{ToolError, setting};

/// The wait before the first retry after a failed connection. It doubles with each retry.
const FIRST_CONNECT_WAIT_MS: u64 = 100;

/// The highest value of the setting `max_retries`.
const MAX_RETRIES: u64 = 60;

/// The retries and waits that are left for one request. The settings `max_retries` and
/// `max_retry_wait_ms` (all waits together) set them.
#[derive(Debug)]
pub struct Retries {
    left: u64,
    wait_left_ms: u64,
    connect_wait_ms: u64,
}

impl Retries {
    /// Bounds from the settings, with the given defaults.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is no number or out of range.
    pub fn from_settings(max_retries: u64, max_wait_ms: u64) -> Result<Self, ToolError> {
        Ok(Self {
            left: setting::number("max_retries", max_retries, 0..=MAX_RETRIES)?,
            wait_left_ms: setting::number("max_retry_wait_ms", max_wait_ms, 0..=60_000)?,
            connect_wait_ms: FIRST_CONNECT_WAIT_MS,
        })
    }

    /// Whether to try again after a failure. If so, it waits first.
    pub fn after_failure(&mut self, stage: Stage) -> bool {
        self.wait_after_failure(stage).is_some_and(wait)
    }

    /// Whether to try again after an answer with this status, which asks for this wait. If so, it
    /// waits first.
    pub fn after_answer(&mut self, status: u16, wait_ms: Option<u64>) -> bool {
        self.wait_after_answer(status, wait_ms).is_some_and(wait)
    }

    fn wait_after_failure(&mut self, stage: Stage) -> Option<u64> {
        if stage != Stage::Connecting {
            return None;
        }
        let wait_ms = self.connect_wait_ms;
        self.connect_wait_ms = wait_ms * 2;
        self.take(wait_ms)
    }

    fn wait_after_answer(&mut self, status: u16, wait_ms: Option<u64>) -> Option<u64> {
        // Some providers answer 529 for 503.
        if !matches!(status, 429 | 503 | 529) {
            return None;
        }
        self.take(wait_ms?)
    }

    fn take(&mut self, wait_ms: u64) -> Option<u64> {
        let wait_left_ms = self.wait_left_ms.checked_sub(wait_ms)?;
        self.left = self.left.checked_sub(1)?;
        self.wait_left_ms = wait_left_ms;
        Some(wait_ms)
    }
}

fn wait(wait_ms: u64) -> bool {
    monotonic_clock::subscribe_duration(wait_ms * 1_000_000).block();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries() -> Retries {
        Retries {
            left: 2,
            wait_left_ms: 5_000,
            connect_wait_ms: FIRST_CONNECT_WAIT_MS,
        }
    }

    #[test]
    fn no_connection_is_tried_again_and_anything_else_that_fails_is_not() {
        let mut retries = retries();
        for stage in [Stage::Waiting, Stage::Unknown] {
            assert_eq!(retries.wait_after_failure(stage), None);
        }
        assert_eq!(retries.wait_after_failure(Stage::Connecting), Some(100));
        assert_eq!(retries.wait_after_failure(Stage::Connecting), Some(200));
        assert_eq!(retries.wait_after_failure(Stage::Connecting), None);
    }

    #[test]
    fn an_answer_is_tried_again_when_it_says_when_and_that_is_soon() {
        for (status, asked, wait) in [
            (429, Some(1_000), Some(1_000)),
            (503, Some(0), Some(0)),
            (529, Some(500), Some(500)),
            (429, Some(5_000), Some(5_000)),
            (429, Some(5_001), None),
            (429, Some(u64::MAX), None),
            (429, None, None),
            (500, Some(1_000), None),
            (200, Some(1_000), None),
        ] {
            let waited = retries().wait_after_answer(status, asked);
            assert_eq!(waited, wait, "{status} {asked:?}");
        }
        let mut retries = retries();
        assert_eq!(retries.wait_after_answer(429, Some(3_000)), Some(3_000));
        assert_eq!(
            retries.wait_after_answer(429, Some(3_000)),
            None,
            "5 s in all"
        );
    }
}
