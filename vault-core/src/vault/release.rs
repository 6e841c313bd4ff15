//! The release of a secret to a trusted tool: recorded first, opened second.
//!
//! The host decides beforehand whether the tool was granted the name. Nothing is cached: each
//! release reads the current designation and row.

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

/// The app that a tool resolves secrets for, and the run that the call belongs to. The host makes
/// this context when it creates the tool's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseContext {
    /// The app whose designated vault is asked.
    pub app_id: AppId,
    /// The name of the tool.
    pub tool: String,
    /// The digest of the tool's code.
    pub tool_digest: String,
    /// The request that the call is part of.
    pub request_id: Option<String>,
    /// The agent session that the call is part of.
    pub session_id: Option<String>,
    /// The API key behind the request.
    pub api_key_id: Option<ApiKeyId>,
    /// The id of the agent whose program calls the tool, if it is an agent's.
    pub agent: Option<String>,
}

impl ReleaseContext {
    /// A context outside any request.
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

    /// An entry about the tool, with everything that this context knows.
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
    /// The credential in plain.
    pub value: SecretValue,
    /// The sealed secret, which can be opened again within the same call.
    pub sealed: Arc<SealedSecret>,
    /// The origins that the vault's metadata allows; `None` when the metadata does not bind the
    /// secret.
    pub origins: Option<Vec<String>>,
}

/// Why a secret was not released. Users see these sentences.
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
    /// The KEK, the store or the audit does not work, or the row is damaged. Clients are not told
    /// which.
    #[error("the vault is unavailable")]
    Unavailable {
        /// The cause, for the log.
        #[source]
        cause: Unavailability,
    },
}

/// The cause of [`ReleaseError::Unavailable`]. It holds nothing secret.
#[derive(Debug, thiserror::Error)]
pub enum Unavailability {
    /// No KEK fits.
    #[error("no fitting KEK")]
    Kek(#[source] VaultError),
    /// The release could not be read or recorded.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// The operating system gives no random bytes for a stand-in.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// The row does not open.
    #[error("the secret does not open")]
    Open(#[source] OpenError),
}

/// The key in the audit entry's detail that tells how the tool got the secret.
const HOW: &str = "how";
/// The tool got the value.
const REVEALED: &str = "revealed";
/// The tool got a stand-in, and the host sends the value.
const LENT: &str = "lent";

impl SecretVaults {
    /// Releases a secret of the app's designated vault to a tool that sees its value. The record is
    /// durable before the value is opened.
    ///
    /// # Errors
    /// See [`ReleaseError`]. Refusals for lack of a designation or a secret are recorded too.
    pub async fn release(
        &self,
        context: &ReleaseContext,
        name: &SecretName,
    ) -> Result<Released, ReleaseError> {
        self.hand_out(context, name, REVEALED).await
    }

    /// Releases a secret to the host, for a tool that uses the secret but does not see it.
    ///
    /// # Errors
    /// The errors of [`Self::release`].
    pub async fn lend(
        &self,
        context: &ReleaseContext,
        name: &SecretName,
    ) -> Result<Released, ReleaseError> {
        self.hand_out(context, name, LENT).await
    }

    async fn hand_out(
        &self,
        context: &ReleaseContext,
        name: &SecretName,
        how: &'static str,
    ) -> Result<Released, ReleaseError> {
        let released = self.try_release(context, name, how).await;
        if let Err(ReleaseError::Unavailable { cause }) = &released {
            let cause = cause as &dyn std::error::Error;
            tracing::error!(app_id = %context.app_id, tool = context.tool, %name, cause, "a secret could not be released");
        }
        released
    }

    /// Opens a released secret again, when the same call resolves the name again. Records nothing.
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
        how: &'static str,
    ) -> Result<Released, ReleaseError> {
        let draft = context.draft(action::SECRET_RELEASED).detail(HOW, how);
        let keyring = self.reading_keyring().await.map_err(Unavailability::Kek)?;
        let row = self
            .0
            .store
            .release(context.app_id, name, draft)
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

    /// The keyring, if a release may try it. A damaged canary stops no release. Neither does an
    /// unavailable provider: it may still remember DEKs that it unwrapped a while ago.
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
