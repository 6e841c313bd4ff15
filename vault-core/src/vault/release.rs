//! The release of a secret to a trusted tool: recorded first, opened second.
//!
//! Whether the tool was granted the name is the host's to decide before it comes here. Nothing is cached: each release
//! reads the designation and the row as they are now.

use std::sync::Arc;

use super::{SecretVaults, VaultError};
use crate::{
    audit::{Actor, AuditDraft, Caller, action},
    envelope::{self, OpenError, SealedSecret},
    id::{ApiKeyId, AppId},
    key::Keyring,
    secret::{SecretName, SecretValue},
    store::{ReleaseRow, StoreError},
};

/// For whom a tool asks, and as part of what. The host makes it when it creates the tool's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseContext {
    /// The app.
    pub app_id: AppId,
    /// The tool's name.
    pub tool: String,
    /// The digest of its code.
    pub tool_digest: String,
    /// The request it is part of.
    pub request_id: Option<String>,
    /// The agent session it is part of.
    pub session_id: Option<String>,
    /// The API key behind the request.
    pub api_key_id: Option<ApiKeyId>,
    /// The id of the agent whose program the tool is called by, where it is an agent's.
    pub agent: Option<String>,
}

impl ReleaseContext {
    /// A tool that asks outside any request.
    pub fn new(app_id: AppId, tool: impl Into<String>, tool_digest: impl Into<String>) -> Self {
        let (tool, tool_digest) = (tool.into(), tool_digest.into());
        Self {
            app_id,
            tool,
            tool_digest,
            request_id: None,
            session_id: None,
            api_key_id: None,
            agent: None,
        }
    }

    /// An entry about what the tool did, with all that is here.
    pub fn draft(&self, action: &'static str) -> AuditDraft {
        let caller = Caller {
            actor: Actor::Tool {
                name: self.tool.clone(),
                digest: self.tool_digest.clone(),
            },
            request_id: self.request_id.clone(),
            session_id: self.session_id.clone(),
        };
        let draft = AuditDraft::new(&caller, action)
            .app(self.app_id)
            .on_behalf_of(self.api_key_id);
        match &self.agent {
            Some(agent) => draft.detail("agent", agent.as_str()),
            None => draft,
        }
    }
}

/// A secret on its way to a tool.
pub struct Released {
    /// The credential.
    pub value: SecretValue,
    /// The same, sealed, to open again within the same call.
    pub sealed: Arc<SealedSecret>,
    /// The origins that the vault's metadata allows it to go to; nothing when the metadata does not bind it.
    pub origins: Option<Vec<String>>,
}

/// Why a secret was not released. The sentences are what users see.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The app designates no vault.
    #[error("app has no vault designated")]
    NoVaultDesignated,
    /// The designated vault has no such secret.
    #[error("secret \"{name}\" is not in the app's vault")]
    NotFound {
        /// The name that was asked for.
        name: SecretName,
    },
    /// The KEK, the store or the audit does not work, or the row is damaged. Outward that is all one.
    #[error("the vault is unavailable")]
    Unavailable {
        /// The cause, for the log.
        #[source]
        cause: Unavailability,
    },
}

/// What is behind [`ReleaseError::Unavailable`]. It holds nothing secret.
#[derive(Debug, thiserror::Error)]
pub enum Unavailability {
    /// There is no KEK that fits.
    #[error("no fitting KEK")]
    Kek(#[source] VaultError),
    /// The release could not be read or recorded.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// The row does not open.
    #[error("the secret does not open")]
    Open(#[source] OpenError),
}

impl SecretVaults {
    /// Releases a secret of the app's designated vault to a tool. The record is durable before the value is opened.
    ///
    /// # Errors
    /// See [`ReleaseError`]; refusals for want of a designation or a secret are recorded too.
    pub async fn release(
        &self,
        context: &ReleaseContext,
        name: &SecretName,
    ) -> Result<Released, ReleaseError> {
        let released = self.try_release(context, name).await;
        if let Err(ReleaseError::Unavailable { cause }) = &released {
            let cause = cause as &dyn std::error::Error;
            tracing::error!(app_id = %context.app_id, tool = context.tool, %name, cause, "a secret could not be released");
        }
        released
    }

    /// Opens a released secret again, for later resolves of the same name in the same call. Records nothing.
    ///
    /// # Errors
    /// [`ReleaseError::Unavailable`].
    pub async fn reopen(&self, sealed: &SealedSecret) -> Result<SecretValue, ReleaseError> {
        let keyring = self
            .0
            .keyring
            .as_ref()
            .ok_or_else(|| Unavailability::Kek(VaultError::KekUnset))?;
        Ok(self
            .0
            .opens
            .time(envelope::open(keyring, sealed))
            .await
            .map_err(Unavailability::Open)?)
    }

    async fn try_release(
        &self,
        context: &ReleaseContext,
        name: &SecretName,
    ) -> Result<Released, ReleaseError> {
        let keyring = self.reading_keyring().await.map_err(Unavailability::Kek)?;
        let row = self
            .0
            .store
            .release(context.app_id, name, context.draft(action::SECRET_RELEASED))
            .await
            .map_err(Unavailability::Store)?;
        match row {
            ReleaseRow::NoVaultDesignated => Err(ReleaseError::NoVaultDesignated),
            ReleaseRow::NotFound => Err(ReleaseError::NotFound { name: name.clone() }),
            ReleaseRow::Authorised { sealed, metadata } => {
                let value = self
                    .0
                    .opens
                    .time(envelope::open(keyring, &sealed))
                    .await
                    .map_err(Unavailability::Open)?;
                Ok(Released {
                    value,
                    sealed: Arc::new(sealed),
                    origins: metadata.origins_of(name),
                })
            }
        }
    }

    /// The keyring, if anything here may open with it. A damaged canary stops no release, and neither does a provider
    /// that is away: DEKs that it unwrapped a while ago may still be known.
    async fn reading_keyring(&self) -> Result<&Keyring, VaultError> {
        match (self.fitting_keyring().await, &self.0.keyring) {
            (
                Err(VaultError::KekCanary { .. } | VaultError::KekUnavailable { .. }),
                Some(keyring),
            ) => Ok(keyring),
            (fitting, _) => fitting,
        }
    }
}

impl From<Unavailability> for ReleaseError {
    fn from(cause: Unavailability) -> Self {
        Self::Unavailable { cause }
    }
}
