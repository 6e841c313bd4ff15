//! Waiting for a condition instead of for a time. Such a test passes on a busy machine, and fails
//! only where the condition never holds.

use std::io::Write;
use std::time::{Duration, Instant};

/// Ends a test that hangs. It is generous, because it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `probe` finds something, and returns it.
///
/// # Panics
/// It finds nothing. `what` completes "it never …".
#[track_caller]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it never {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || is_so().then_some(()));
}

/// Waits until a condition holds, in a test whose runtime has other work to do meanwhile.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "it never {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reports how long something took that promises a time. The benches check the bound, because a
/// busy machine breaks it.
pub fn report(what: &str, took: Duration) {
    // Write to stderr directly: the test runner hides what a passing test prints with `eprintln`.
    let _ = writeln!(std::io::stderr(), "TOOK {} ms: {what}", took.as_millis());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_again_until_it_is_so() {
        let mut asked = 0;
        let found = eventually("comes", || {
            asked += 1;
            (asked == 3).then_some("here")
        });
        assert_eq!((found, asked), ("here", 3));
    }

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let work = tokio::spawn(async {});
        until("is done", async || work.is_finished()).await;
    }
}
