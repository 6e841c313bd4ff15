//! What tells the server that a request had a right credential. Which credentials are right is not
//! its business.

use std::sync::Arc;
use std::time::Instant;

use super::gate::Turn;
use super::pace::Pace;

/// An extension of every request: by it, whoever finds a credential right says so. Until then the
/// connection is a stranger's, and the first to go where room is needed.
#[derive(Clone)]
pub struct Claim {
    pace: Arc<Pace>,
    turn: Option<Arc<Turn>>,
}

impl Claim {
    pub(super) fn new(pace: &Arc<Pace>, turn: Option<Arc<Turn>>) -> Self {
        Self {
            pace: Arc::clone(pace),
            turn,
        }
    }

    /// A right credential was seen.
    pub fn prove(&self) {
        self.pace.prove(Instant::now());
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }
}
