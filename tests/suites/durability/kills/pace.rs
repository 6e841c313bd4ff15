//! The pace of clients.

use std::time::Duration;

/// The number of requests in a burst, and the pause after it, in which the log can be emptied.
const BURST: usize = 6;
const PAUSE: Duration = Duration::from_millis(260);

/// The speed at which clients write.
#[derive(Clone, Copy)]
pub enum Pace {
    /// One request follows the other.
    Steady,
    /// All clients pause at about the same time.
    Bursts,
}

impl Pace {
    /// Repeats a request until it fails, because the host is gone.
    pub fn repeat(self, mut request: impl FnMut() -> bool) {
        for number in 1.. {
            if !request() {
                return;
            }
            if matches!(self, Self::Bursts) && number % BURST == 0 {
                std::thread::sleep(PAUSE);
            }
        }
    }
}
