//! Observes work that takes time and has an outcome: its span, and a callback at its end.
//!
//! The caller chooses the words for outcomes.

use std::time::{Duration, Instant};

use tracing::{Instrument as _, Span};

/// The outcome of work that was dropped because its caller stopped waiting.
pub const CANCELLED: &str = "cancelled";

/// Runs `work` within `span`. At the end, `outcome` turns the result into a word. The word is
/// recorded in the span's field `outcome`, and passed to `ended` with the time that the work took.
/// Work that is dropped has the outcome [`CANCELLED`].
pub async fn observe<T>(
    span: Span,
    work: impl Future<Output = T>,
    outcome: impl FnOnce(&T) -> &'static str,
    ended: impl FnOnce(&'static str, Duration),
) -> T {
    let mut end = End {
        span: span.clone(),
        started: Instant::now(),
        outcome: CANCELLED,
        ended: Some(ended),
    };
    let result = work.instrument(span).await;
    end.outcome = outcome(&result);
    result
}

struct End<E: FnOnce(&'static str, Duration)> {
    span: Span,
    started: Instant,
    outcome: &'static str,
    ended: Option<E>,
}

impl<E: FnOnce(&'static str, Duration)> Drop for End<E> {
    fn drop(&mut self) {
        self.span.record("outcome", self.outcome);
        let ended = self.ended.take().expect("it is dropped once");
        self.span
            .in_scope(|| ended(self.outcome, self.started.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_told_once_whether_the_work_ends_or_is_dropped() {
        let mut told = Vec::new();
        let word = |result: &u8| if *result == 7 { "seven" } else { "other" };
        let work = async { 7 };
        let result = observe(Span::none(), work, word, |outcome, _| told.push(outcome)).await;
        assert_eq!(result, 7);
        let never = observe(Span::none(), std::future::pending(), word, |outcome, _| {
            told.push(outcome);
        });
        let waited = tokio::time::timeout(Duration::from_millis(5), never).await;
        assert!(waited.is_err());
        assert_eq!(told, ["seven", CANCELLED]);
    }
}
