//! How fast clients write.

use std::time::Duration;

/// How many requests a burst has, and how long the pause after it is: long enough for the log to be emptied.
const BURST: usize = 6;
const PAUSE: Duration = Duration::from_millis(260);

/// How clients write.
#[derive(Clone, Copy)]
pub enum Pace {
    /// One request after the other.
    Steady,
    /// With pauses that all make at about the same time.
    Bursts,
}

impl Pace {
    /// Repeats a request until it fails: the host is gone.
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
