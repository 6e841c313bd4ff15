//! `wasi:config/store` for trusted tools: the operator's settings for the tool, and one fact from
//! the host.
//!
//! The fact is which of the tool's granted secrets the app's vault holds. It consists of names,
//! without a value or a release, and tells no more than `resolve` does by `not-found`. The vault is
//! asked only when the tool asks.

use std::sync::Arc;

use vault_core::{AppId, SecretName, SecretVaults, VaultError};

use crate::bindings::config_store::{self, Error};

/// The key of the fact from the host. The operator's own keys cannot replace it.
const HELD_SECRETS: &str = "tavora:held-secrets";

/// The configuration that one instance of a tool reads.
pub(crate) struct ConfigCapability {
    written: Arc<[(String, String)]>,
    granted: Arc<[SecretName]>,
    vaults: SecretVaults,
    app: AppId,
}

impl ConfigCapability {
    pub(crate) fn new(
        written: Arc<[(String, String)]>,
        granted: Arc<[SecretName]>,
        vaults: SecretVaults,
        app: AppId,
    ) -> Self {
        Self {
            written,
            granted,
            vaults,
            app,
        }
    }

    /// Returns the names of the granted secrets that the vault holds, with commas between them.
    async fn held_secrets(&self) -> Result<String, VaultError> {
        let Some(vault) = self.vaults.designated(self.app).await? else {
            return Ok(String::new());
        };
        let held = self.vaults.secrets(self.app, vault).await?;
        let granted = self.granted.iter();
        let both = granted.filter(|granted| held.iter().any(|secret| secret.name == **granted));
        Ok(both.map(SecretName::as_str).collect::<Vec<_>>().join(","))
    }
}

impl config_store::Host for ConfigCapability {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        if key == HELD_SECRETS {
            return Ok(self.held_secrets().await.map(Some).map_err(|error| {
                tracing::error!(%error, "which secrets an app holds is not known");
                Error::Io("the vault is unavailable".to_owned())
            }));
        }
        let written = self.written.iter().find(|(known, _)| *known == key);
        Ok(Ok(written.map(|(_, value)| value.clone())))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self.written.to_vec()))
    }
}
