//! Tells the server that a request had a valid credential. The server does not know which
//! credentials are valid.

use std::sync::Arc;
use std::time::Instant;

use super::gate::Turn;
use super::pace::Pace;

/// An extension of every request. The code that accepts a credential proves the claim. Until then
/// the connection is a stranger's, and is closed first when room is needed.
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

    /// Records that the request had a valid credential.
    pub fn prove(&self) {
        self.pace.prove(Instant::now());
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }
}
