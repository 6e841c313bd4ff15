//! The state of the keyring in one word. `vault::kek` determines the state.

use serde::Serialize;

use super::VaultError;
use crate::key::{KekId, KekTrouble};

/// Whether secrets can be stored and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KekState {
    /// There is no keyring.
    Unset,
    /// The keyring fits the data.
    Ready,
    /// There are secrets, and no KEK of the keyring wraps any of them.
    Mismatch {
        /// The KEK that most of the secrets need.
        wanted: KekId,
        /// The number of secrets that need this KEK.
        rows: u64,
    },
    /// The primary KEK does not open its canary. Nothing is stored with it. Releases are tried one
    /// by one.
    CanaryFailed {
        /// The KEK in question.
        kek_id: KekId,
    },
    /// The provider of the primary KEK failed. Nothing is stored. Releases are tried one by one,
    /// and succeed where the DEK is still remembered.
    Unavailable {
        /// The KEK in question.
        kek_id: KekId,
        /// The kind of the provider.
        kind: &'static str,
        /// The fault, and how to correct it.
        trouble: KekTrouble,
    },
}

impl KekState {
    /// Checks that secrets can be stored.
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
