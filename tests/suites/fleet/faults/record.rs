//! The requests of one client, and the answers.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Put,
    Release,
    Ready,
}

/// The results of one client.
#[derive(Debug)]
pub struct Record {
    /// The secret that only this client writes.
    pub name: String,
    pub what: What,
    pub host: usize,
    pub acknowledged: u64,
    pub failed: u64,
    /// The number of failures without any answer.
    pub gone: u64,
    /// The version that was acknowledged last.
    pub version: u64,
    pub laps: Vec<Lap>,
}

#[derive(Debug)]
pub struct Lap {
    pub begun: Instant,
    pub ended: Instant,
    pub is_acknowledged: bool,
}

impl Record {
    pub fn is_put(&self) -> bool {
        self.what == What::Put
    }

    pub fn success_after(&self, instant: Instant) -> Option<Instant> {
        let mut later = self.laps.iter().filter(|lap| lap.ended > instant);
        later.find(|lap| lap.is_acknowledged).map(|lap| lap.ended)
    }

    pub fn outage(&self) -> Duration {
        let mut last = self.laps.first().map(|lap| lap.begun);
        let mut longest = Duration::ZERO;
        for lap in self.laps.iter().filter(|lap| lap.is_acknowledged) {
            longest = longest.max(lap.ended - last.unwrap_or(lap.begun));
            last = Some(lap.ended);
        }
        longest
    }
}
