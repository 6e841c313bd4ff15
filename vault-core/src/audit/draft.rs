//! Audit entries before they have a place in the chain, which `audit::row` gives them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Actor, Caller, outcome, subject_kind};
use crate::{
    envelope::PayloadDigest,
    id::{ApiKeyId, AppId, VaultId},
    secret::SecretName,
};

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// One of [`subject_kind::ALL`], or a kind of the host's own.
    pub kind: Cow<'static, str>,
    /// Which one; for a secret `<vault id>/<name>`.
    pub id: String,
}

impl Subject {
    /// Anything.
    pub fn new(kind: impl Into<Cow<'static, str>>, id: impl ToString) -> Self {
        Self {
            kind: kind.into(),
            id: id.to_string(),
        }
    }

    /// A secret in a vault.
    pub fn secret(vault_id: VaultId, name: &SecretName) -> Self {
        Self::new(subject_kind::SECRET, format_args!("{vault_id}/{name}"))
    }
}

/// An entry before it has its place in the chain. The store adds id, time and place when it commits it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditDraft {
    pub(crate) app_id: Option<AppId>,
    pub(crate) caller: Caller,
    pub(crate) api_key_id: Option<ApiKeyId>,
    pub(crate) action: Cow<'static, str>,
    pub(crate) subject: Option<Subject>,
    pub(crate) outcome: Cow<'static, str>,
    pub(crate) detail: Map<String, Value>,
    pub(crate) secret_version: Option<u64>,
    pub(crate) payload_digest: Option<PayloadDigest>,
}

impl AuditDraft {
    /// An entry about nothing in particular, with outcome `ok`.
    pub fn new(caller: &Caller, action: impl Into<Cow<'static, str>>) -> Self {
        let api_key_id = match caller.actor {
            Actor::ApiKey(id) => Some(id),
            _ => None,
        };
        Self {
            app_id: None,
            caller: caller.clone(),
            api_key_id,
            action: action.into(),
            subject: None,
            outcome: outcome::OK.into(),
            detail: Map::new(),
            secret_version: None,
            payload_digest: None,
        }
    }

    /// In which app.
    pub fn app(mut self, app_id: AppId) -> Self {
        self.app_id = Some(app_id);
        self
    }

    /// About what.
    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// With another outcome than `ok`.
    pub fn outcome(mut self, outcome: impl Into<Cow<'static, str>>) -> Self {
        self.outcome = outcome.into();
        self
    }

    /// With one more detail. Never put anything secret here, nor a length or digest of it.
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }

    /// On behalf of an API key, if there is one. A caller that is an API key stays on its own behalf without.
    pub fn on_behalf_of(mut self, api_key_id: Option<ApiKeyId>) -> Self {
        self.api_key_id = api_key_id.or(self.api_key_id);
        self
    }

    /// With the version of the secret that was released.
    pub(crate) fn version(mut self, version: u64) -> Self {
        self.secret_version = Some(version);
        self
    }

    /// With what the secret's row is to be recognised by from now on.
    pub(crate) fn stored(mut self, version: u64, payload: PayloadDigest) -> Self {
        self.payload_digest = Some(payload);
        self.version(version)
    }
}
