//! Putting, listing and deleting secrets.
//!
//! Nothing here opens a secret; only `vault::release` does.

use std::sync::atomic::Ordering;

use super::{SecretVaults, VaultError, error::not_found};
use crate::{
    audit::{AuditDraft, Caller, Subject, action},
    envelope::{self, PayloadDigest, SecretBinding},
    id::{AppId, VaultId},
    revision::Condition,
    secret::{RedactedSecret, SecretName, SecretValue},
    store::{PutOutcome, PutSecret, StoreError},
};

impl SecretVaults {
    /// Stores a secret with a fresh DEK. An existing secret gets a new version. Nothing is opened.
    ///
    /// # Errors
    /// The vault does not exist, or there is no KEK to store the secret with.
    pub async fn put_secret(
        &self,
        caller: &Caller,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        value: &SecretValue,
    ) -> Result<RedactedSecret, VaultError> {
        self.put_secret_if(caller, app_id, vault_id, name, value, Condition::Always)
            .await
    }

    /// Stores a secret on a condition. Every condition but [`Condition::Always`] only overwrites.
    ///
    /// # Errors
    /// As [`Self::put_secret`], and [`VaultError::PreconditionFailed`].
    pub async fn put_secret_if(
        &self,
        caller: &Caller,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        value: &SecretValue,
        condition: Condition,
    ) -> Result<RedactedSecret, VaultError> {
        let keyring = self.writing_keyring().await?;
        let store = &self.0.store;
        let mut replaces = store
            .secret_head(app_id, vault_id, name)
            .await
            .map_err(not_found("vault"))?;
        let deadline = tokio::time::Instant::now() + self.0.options.put_timeout;
        loop {
            // The store compares and swaps, so the row that is checked here is the row that gets
            // replaced.
            condition.check::<VaultError>(|| Ok(replaces.map(|head| head.revision)))?;
            let version = replaces.map_or(Ok(1), |head| head.next_version())?;
            let binding = SecretBinding {
                app_id,
                vault_id,
                name: name.clone(),
                version,
            };
            let sealing = envelope::seal(keyring.primary(), binding, value);
            let sealed = self.0.seals.time(sealing).await?;
            let entry = AuditDraft::new(caller, action::SECRET_PUT)
                .app(app_id)
                .about(Subject::secret(vault_id, name));
            let entry = entry.stored(version, PayloadDigest::derive(&sealed.payload));
            let put = PutSecret {
                sealed,
                replaces,
                readable: keyring.kek_ids(),
            };
            let outcome = match store.put_secret(put, entry).await {
                // The KEK was retired, which is not final: a KEK that is primary somewhere is
                // registered again.
                Err(StoreError::UnknownKek { .. }) if tokio::time::Instant::now() < deadline => {
                    self.0.primary_known.store(false, Ordering::Release);
                    self.writing_keyring().await?;
                    continue;
                }
                outcome => outcome.map_err(not_found("vault"))?,
            };
            match outcome {
                PutOutcome::Stored { view, wraps } => {
                    self.watch_wraps(view.kek_id, wraps);
                    return Ok(view);
                }
                PutOutcome::Stale(_) if tokio::time::Instant::now() >= deadline => {
                    return Err(VaultError::Contended);
                }
                PutOutcome::Stale(head) => replaces = head,
            }
        }
    }

    /// A vault's secrets, sorted by name, without their values. Nothing is opened.
    ///
    /// # Errors
    /// The vault does not exist.
    pub async fn secrets(
        &self,
        app_id: AppId,
        vault_id: VaultId,
    ) -> Result<Vec<RedactedSecret>, VaultError> {
        self.0
            .store
            .secrets(app_id, vault_id)
            .await
            .map_err(not_found("vault"))
    }

    /// Deletes a secret. Returns whether it existed.
    ///
    /// # Errors
    /// The vault does not exist.
    pub async fn delete_secret(
        &self,
        caller: &Caller,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
    ) -> Result<bool, VaultError> {
        self.delete_secret_if(caller, app_id, vault_id, name, Condition::Always)
            .await
    }

    /// Deletes a secret on a condition. A missing secret meets only [`Condition::Always`].
    ///
    /// # Errors
    /// As [`Self::delete_secret`], and [`VaultError::PreconditionFailed`].
    pub async fn delete_secret_if(
        &self,
        caller: &Caller,
        app_id: AppId,
        vault_id: VaultId,
        name: &SecretName,
        condition: Condition,
    ) -> Result<bool, VaultError> {
        let entry = AuditDraft::new(caller, action::SECRET_DELETED)
            .app(app_id)
            .about(Subject::secret(vault_id, name));
        self.0
            .store
            .delete_secret(app_id, vault_id, name, condition, entry)
            .await
            .map_err(not_found("vault"))
    }
}
