//! Settings that every measurement shares.

use std::time::Duration;

use tokio::runtime::Runtime;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct Bench {
    pub runtime: Runtime,
    /// The length of one measurement.
    pub window: Duration,
    pub long: bool,
}

impl Bench {
    pub fn is_quick(&self) -> bool {
        self.window < Duration::from_secs(1)
    }
}
