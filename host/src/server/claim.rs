//! What tells the server that a request had a right credential. Which credentials are right is not its business.

use std::sync::Arc;
use std::time::Instant;

use super::pace::Pace;

/// An extension of every request: by it, whoever finds a credential right says so. Until then the connection is a
/// stranger's, and the first to go where room is needed.
#[derive(Clone)]
pub struct Claim(Arc<Pace>);

impl Claim {
    pub(super) fn new(pace: &Arc<Pace>) -> Self {
        Self(Arc::clone(pace))
    }

    /// A right credential was seen.
    pub fn prove(&self) {
        self.0.prove(Instant::now());
    }
}
