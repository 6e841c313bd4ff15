//! Audit entries before they join a chain. `audit::row` gives them a place in it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Actor, Caller, outcome, subject_kind};
use crate::{
    envelope::PayloadDigest,
    id::{ApiKeyId, AppId, VaultId},
    secret::SecretName,
};

/// The thing that an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// One of [`subject_kind::ALL`], or a kind of the host.
    pub kind: Cow<'static, str>,
    /// The id of the thing; for a secret `<vault id>/<name>`.
    pub id: String,
}

impl Subject {
    /// A subject of any kind.
    pub fn new(kind: impl Into<Cow<'static, str>>, id: impl ToString) -> Self {
        Self {
            kind: kind.into(),
            id: id.to_string(),
        }
    }

    /// The subject of entries about a secret.
    pub fn secret(vault_id: VaultId, name: &SecretName) -> Self {
        Self::new(subject_kind::SECRET, format_args!("{vault_id}/{name}"))
    }
}

/// An entry that has no place in a chain yet. The store adds id, time and place when it commits the
/// entry.
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

    /// Sets the app.
    pub fn app(mut self, app_id: AppId) -> Self {
        self.app_id = Some(app_id);
        self
    }

    /// Sets the subject.
    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Sets another outcome than `ok`.
    pub fn outcome(mut self, outcome: impl Into<Cow<'static, str>>) -> Self {
        self.outcome = outcome.into();
        self
    }

    /// Adds a detail. Details hold nothing secret, nor the length or a digest of anything secret.
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the API key that the caller acts for. Without one, a caller that is an API key acts for
    /// itself.
    pub fn on_behalf_of(mut self, api_key_id: Option<ApiKeyId>) -> Self {
        self.api_key_id = api_key_id.or(self.api_key_id);
        self
    }

    /// Sets the version of the secret that was released.
    pub(crate) fn version(mut self, version: u64) -> Self {
        self.secret_version = Some(version);
        self
    }

    /// Sets the version and the digest by which a check recognises the secret's row from now on.
    pub(crate) fn stored(mut self, version: u64, payload: PayloadDigest) -> Self {
        self.payload_digest = Some(payload);
        self.version(version)
    }
}
