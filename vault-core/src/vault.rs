//! The one public door: everything that can be done with apps, API keys, vaults and secrets.
//!
//! Every change takes its caller and is recorded in the transaction that makes it. Plain values come in through
//! `put_secret` and go out through `release` and `reopen` alone. Who may call what is decided by the host.

mod apps;
mod audit;
mod error;
mod kek;
mod release;
mod rewrap;
mod secrets;
mod tally;

use std::{
    sync::{Arc, RwLock, atomic::AtomicBool},
    time::Duration,
};

use jiff::Timestamp;

use self::tally::Tally;
pub use self::{
    audit::AuditExport,
    error::VaultError,
    kek::{KekState, KekStatus, KekUse},
    release::{ReleaseContext, ReleaseError, Released, Unavailability},
    rewrap::{
        BatchSize, InvalidBatchSize, KekRows, OpenReport, RewrapOptions, RewrapOutcome,
        RewrapProgress, RewrapReport, UNREADABLE_NAMED_MAX, UnreadableCause, UnreadableSecret,
    },
    tally::EnvelopeStats,
};
use crate::{
    app::VaultView,
    audit::{AuditDraft, Caller, Subject, action, subject_kind},
    id::{AppId, VaultId},
    key::Keyring,
    metadata::Metadata,
    name::VaultName,
    revision::Condition,
    store::{NewVault, Store, StoreError, StoreStats},
};

/// The limits of [`SecretVaults`], each with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultOptions {
    /// From how many wraps on a KEK is old enough for a warning. 2^28; random nonces are safe up to 2^32.
    pub wraps_warning: u64,
    /// How long a put goes on trying while other writes to the same secret come first. 10 s.
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
pub struct SecretVaults(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    keyring: Option<Keyring>,
    kek_state: RwLock<KekState>,
    /// Whether the primary KEK has its canary in the store.
    primary_known: AtomicBool,
    seals: Tally,
    opens: Tally,
    options: VaultOptions,
}

impl SecretVaults {
    /// Opens the vaults of a store. Without a keyring everything works but storing and releasing secrets.
    ///
    /// # Errors
    /// The store does not work. A keyring that does not fit the data is no error here; see [`Self::kek_state`].
    pub async fn open(store: Arc<dyn Store>, keyring: Option<Keyring>) -> Result<Self, VaultError> {
        Self::open_with(store, keyring, VaultOptions::default()).await
    }

    /// The same with other limits.
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

    /// Creates a vault.
    ///
    /// # Errors
    /// [`VaultError::VaultNameTaken`], or the app is not there.
    pub async fn create_vault(
        &self,
        caller: &Caller,
        app_id: AppId,
        name: VaultName,
        metadata: Metadata,
    ) -> Result<VaultView, VaultError> {
        let vault = NewVault {
            id: VaultId::make(),
            app_id,
            name: name.clone(),
            metadata,
        };
        let entry = AuditDraft::new(caller, action::VAULT_CREATED)
            .app(app_id)
            .about(Subject::new(subject_kind::VAULT, vault.id));
        self.0
            .store
            .create_vault(vault, entry.detail("name", name.as_str()))
            .await
            .map_err(|error| match error {
                StoreError::Taken => VaultError::VaultNameTaken { name },
                other => not_found("app")(other),
            })
    }

    /// An app's vaults, oldest first.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn vaults(&self, app_id: AppId) -> Result<Vec<VaultView>, VaultError> {
        Ok(self.0.store.vaults(app_id).await?)
    }

    /// One vault of an app. Another app's vault is no different from none.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn vault(&self, app_id: AppId, id: VaultId) -> Result<VaultView, VaultError> {
        self.0
            .store
            .vault(app_id, id)
            .await?
            .ok_or(VaultError::NotFound { what: "vault" })
    }

    /// One vault of an app by its name.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn vault_by_name(
        &self,
        app_id: AppId,
        name: &VaultName,
    ) -> Result<VaultView, VaultError> {
        self.0
            .store
            .vault_by_name(app_id, name)
            .await?
            .ok_or(VaultError::NotFound { what: "vault" })
    }

    /// Replaces a vault's metadata.
    ///
    /// # Errors
    /// The vault is not there.
    pub async fn update_vault_metadata(
        &self,
        caller: &Caller,
        app_id: AppId,
        id: VaultId,
        metadata: Metadata,
    ) -> Result<VaultView, VaultError> {
        self.update_vault_metadata_if(caller, app_id, id, metadata, Condition::Always)
            .await
    }

    /// The same on a condition.
    ///
    /// # Errors
    /// The vault is not there, or [`VaultError::PreconditionFailed`].
    pub async fn update_vault_metadata_if(
        &self,
        caller: &Caller,
        app_id: AppId,
        id: VaultId,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<VaultView, VaultError> {
        let entry = AuditDraft::new(caller, action::VAULT_UPDATED)
            .app(app_id)
            .about(Subject::new(subject_kind::VAULT, id));
        self.0
            .store
            .update_vault(app_id, id, metadata, condition, entry)
            .await
            .map_err(not_found("vault"))
    }

    /// Deletes a vault, its secrets and a designation of it, in one transaction; returns how many secrets went.
    ///
    /// # Errors
    /// The vault is not there.
    pub async fn delete_vault(
        &self,
        caller: &Caller,
        app_id: AppId,
        id: VaultId,
    ) -> Result<u64, VaultError> {
        self.delete_vault_if(caller, app_id, id, Condition::Always)
            .await
    }

    /// The same on a condition on the vault itself, whatever secrets are in it.
    ///
    /// # Errors
    /// The vault is not there, or [`VaultError::PreconditionFailed`].
    pub async fn delete_vault_if(
        &self,
        caller: &Caller,
        app_id: AppId,
        id: VaultId,
        condition: Condition,
    ) -> Result<u64, VaultError> {
        let entry = AuditDraft::new(caller, action::VAULT_DELETED)
            .app(app_id)
            .about(Subject::new(subject_kind::VAULT, id));
        self.0
            .store
            .delete_vault(app_id, id, condition, entry)
            .await
            .map_err(not_found("vault"))
    }

    /// Designates a vault of the app, or clears the designation.
    ///
    /// # Errors
    /// The app or its vault is not there.
    pub async fn designate(
        &self,
        caller: &Caller,
        app_id: AppId,
        vault_id: Option<VaultId>,
    ) -> Result<(), VaultError> {
        let (what, entry) = match vault_id {
            Some(id) => (
                "vault",
                AuditDraft::new(caller, action::VAULT_DESIGNATED)
                    .detail("vault_id", id.to_string()),
            ),
            None => ("app", AuditDraft::new(caller, action::DESIGNATION_CLEARED)),
        };
        let entry = entry
            .app(app_id)
            .about(Subject::new(subject_kind::APP, app_id));
        self.0
            .store
            .designate(app_id, vault_id, entry)
            .await
            .map_err(not_found(what))
    }

    /// The vault that the app designates.
    ///
    /// # Errors
    /// The app is not there.
    pub async fn designated(&self, app_id: AppId) -> Result<Option<VaultId>, VaultError> {
        Ok(self.app(app_id).await?.vault_id)
    }

    /// Whether the store can be read and written right now.
    ///
    /// # Errors
    /// It cannot.
    pub async fn probe(&self) -> Result<(), VaultError> {
        Ok(self.0.store.probe().await?)
    }

    /// How the store keeps up with what is written to it.
    pub fn store_stats(&self) -> StoreStats {
        self.0.store.stats()
    }

    /// Waits for what is under way and closes the store.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn close(&self) -> Result<(), VaultError> {
        Ok(self.0.store.close().await?)
    }
}

fn not_found(what: &'static str) -> impl Fn(StoreError) -> VaultError {
    move |error| match error {
        StoreError::NotFound => VaultError::NotFound { what },
        other => other.into(),
    }
}

/// As precise as times are kept, so that what is returned is what is read later. The last second of time has no
/// milliseconds that could be read back.
fn milliseconds(at: Timestamp) -> Timestamp {
    let last = Timestamp::MAX.as_second() * 1000;
    Timestamp::from_millisecond(at.as_millisecond().min(last))
        .expect("a time is one without its microseconds too")
}
