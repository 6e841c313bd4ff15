//! Opening the vaults of a store.

use std::sync::{Arc, RwLock, atomic::AtomicBool};

use super::{KekState, SecretVaults, VaultError, VaultOptions, secret_vaults::Inner, tally::Tally};
use crate::{key::Keyring, store::Store};

impl SecretVaults {
    /// Opens the vaults of a store. Without a keyring everything works but storing and releasing
    /// secrets.
    ///
    /// # Errors
    /// The store does not work. A keyring that does not fit the data is no error here; see
    /// [`Self::kek_state`].
    pub async fn open(store: Arc<dyn Store>, keyring: Option<Keyring>) -> Result<Self, VaultError> {
        Self::open_with(store, keyring, VaultOptions::default()).await
    }

    /// Opens the vaults of a store with other limits than the defaults.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        store: Arc<dyn Store>,
        keyring: Option<Keyring>,
        options: VaultOptions,
    ) -> Result<Self, VaultError> {
        let kek_state = RwLock::new(KekState::Unset);
        let vaults = Self(Arc::new(Inner {
            store,
            keyring,
            kek_state,
            primary_known: AtomicBool::new(false),
            seals: Tally::default(),
            opens: Tally::default(),
            options,
        }));
        vaults.refresh_kek_state().await?;
        Ok(vaults)
    }
}
