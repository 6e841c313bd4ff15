//! Vaults, their metadata, and which one an app designates.

use super::{SecretVaults, VaultError, error::not_found};
use crate::{
    app::VaultView,
    audit::{AuditDraft, Caller, Subject, action, subject_kind},
    id::{AppId, VaultId},
    metadata::Metadata,
    name::VaultName,
    revision::Condition,
    store::{NewVault, StoreError},
};

impl SecretVaults {
    /// Creates a vault.
    ///
    /// # Errors
    /// [`VaultError::VaultNameTaken`], or the app does not exist.
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

    /// Finds a vault of an app by its id. Another app's vault looks like a missing one.
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

    /// Finds a vault of an app by its name.
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
    /// The vault does not exist.
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

    /// Replaces a vault's metadata on a condition.
    ///
    /// # Errors
    /// The vault does not exist, or [`VaultError::PreconditionFailed`].
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

    /// Deletes a vault, its secrets and a designation of it, in one transaction. Returns the number
    /// of secrets that were deleted.
    ///
    /// # Errors
    /// The vault does not exist.
    pub async fn delete_vault(
        &self,
        caller: &Caller,
        app_id: AppId,
        id: VaultId,
    ) -> Result<u64, VaultError> {
        self.delete_vault_if(caller, app_id, id, Condition::Always)
            .await
    }

    /// Deletes a vault on a condition. The condition concerns the vault itself, not its secrets.
    ///
    /// # Errors
    /// The vault does not exist, or [`VaultError::PreconditionFailed`].
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
    /// The app or its vault does not exist.
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

    /// The vault that the app designates; `None` when it designates none.
    ///
    /// # Errors
    /// The app does not exist.
    pub async fn designated(&self, app_id: AppId) -> Result<Option<VaultId>, VaultError> {
        Ok(self.app(app_id).await?.vault_id)
    }
}
