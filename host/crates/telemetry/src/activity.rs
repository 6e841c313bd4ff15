//! Something that takes time and ends one way or another: its span, and who is told of its end.
//!
//! What the words for its outcome are is up to whoever does it.

use std::time::{Duration, Instant};

use tracing::{Instrument as _, Span};

/// How something ends whose caller stopped waiting for it.
pub const CANCELLED: &str = "cancelled";

/// Does `work` within `span`. When it is over, the span's field `outcome` gets the word that
/// `outcome` has for its result, and `ended` is told the same with the time that it took;
/// [`CANCELLED`] if the work was dropped.
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
