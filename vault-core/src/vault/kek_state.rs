//! Whether the keyring fits the data, in a word. How that is found out is in `vault::kek`.

use serde::Serialize;

use super::VaultError;
use crate::key::{KekId, KekTrouble};

/// Whether secrets can be stored and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KekState {
    /// No keyring was given.
    Unset,
    /// The keyring fits the data.
    Ready,
    /// There are secrets, and no KEK of the keyring wraps any of them.
    Mismatch {
        /// The KEK that most of them need.
        wanted: KekId,
        /// How many need it.
        rows: u64,
    },
    /// The primary KEK does not open its canary. Nothing is stored with it; releases are tried one by one.
    CanaryFailed {
        /// The KEK.
        kek_id: KekId,
    },
    /// The primary KEK's provider does not do its work. Nothing is stored; releases are tried one by one, and those
    /// whose DEK is still known work.
    Unavailable {
        /// The KEK.
        kek_id: KekId,
        /// The kind of its provider.
        kind: &'static str,
        /// What is wrong, and what to do.
        trouble: KekTrouble,
    },
}

impl KekState {
    /// Why secrets cannot be stored, unless they can.
    ///
    /// # Errors
    /// The state as an error.
    pub fn check(self) -> Result<(), VaultError> {
        match self {
            Self::Ready => Ok(()),
            Self::Unset => Err(VaultError::KekUnset),
            Self::Mismatch { wanted, rows } => Err(VaultError::KekMismatch { wanted, rows }),
            Self::CanaryFailed { kek_id } => Err(VaultError::KekCanary { kek_id }),
            Self::Unavailable {
                kek_id,
                kind,
                trouble,
            } => Err(VaultError::KekUnavailable {
                kek_id,
                kind,
                trouble,
            }),
        }
    }
}
