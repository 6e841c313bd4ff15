//! When a request is tried again, and how long to wait before: only where it is
//! certain that the upstream did nothing with it, and within a bound.

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::request::Stage;
use crate::{ToolError, setting};

/// The wait before the first try after no connection; it doubles with each.
const FIRST_CONNECT_WAIT_MS: u64 = 100;

/// What is left of the tries and waits of one request. The settings `max_retries` and
/// `max_retry_wait_ms` (all waits together) set it.
#[derive(Debug)]
pub struct Retries {
    left: u64,
    wait_left_ms: u64,
    connect_wait_ms: u64,
}

impl Retries {
    /// As the settings say, and as given where they say nothing.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is no number or out of range.
    pub fn from_settings(max_retries: u64, max_wait_ms: u64) -> Result<Self, ToolError> {
        Ok(Self {
            left: setting::number("max_retries", max_retries, 0..=10)?,
            wait_left_ms: setting::number("max_retry_wait_ms", max_wait_ms, 0..=60_000)?,
            connect_wait_ms: FIRST_CONNECT_WAIT_MS,
        })
    }

    /// Whether to try again after no answer; waits before if so.
    pub fn after_failure(&mut self, stage: Stage) -> bool {
        self.wait_after_failure(stage).is_some_and(wait)
    }

    /// Whether to try again after an answer with this status that asks to be left alone
    /// for so long; waits before if so.
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
        // 529 is what some providers say for 503.
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
