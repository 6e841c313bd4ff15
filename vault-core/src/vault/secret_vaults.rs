//! [`SecretVaults`]: the store, the keyring, and the state of its KEKs.
//!
//! Each subject has a file with its calls.

use std::{
    sync::{Arc, RwLock, atomic::AtomicBool},
    time::Duration,
};

use super::{KekState, VaultError, tally::Tally};
use crate::{key::Keyring, store::Store};

/// The limits of [`SecretVaults`], each with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultOptions {
    /// The number of wraps from which a KEK causes a warning. Random nonces are safe up to 2^32
    /// wraps. Default: 2^28.
    pub wraps_warning: u64,
    /// Limits the time that a put keeps trying while other writes to the same secret come first.
    /// Default: 10 s.
    pub put_timeout: Duration,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            wraps_warning: 1 << 28,
            put_timeout: Duration::from_secs(10),
        }
    }
}

/// All vaults of one database. Cheap to clone.
#[derive(Clone)]
pub struct SecretVaults(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) keyring: Option<Keyring>,
    pub(super) kek_state: RwLock<KekState>,
    /// Whether the store is known to hold the canary of the primary KEK.
    pub(super) primary_known: AtomicBool,
    pub(super) seals: Tally,
    pub(super) opens: Tally,
    pub(super) options: VaultOptions,
}

impl SecretVaults {
    /// Checks that the store can be read and written right now.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn probe(&self) -> Result<(), VaultError> {
        Ok(self.0.store.probe().await?)
    }

    /// Waits for work under way and closes the store.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn close(&self) -> Result<(), VaultError> {
        Ok(self.0.store.close().await?)
    }
}
