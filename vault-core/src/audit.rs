//! The audit: who did what to which thing, with what outcome.
//!
//! Never a value, a length or a digest of a value. How entries are chained is in `audit::chain`, how the chain is
//! checked in `audit::verify`, where they are kept in `store`.

mod chain;
mod entry;
mod finding;
mod verify;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub use self::{
    chain::{
        CHAIN_NAME_MAX_CHARS, ChainHash, ChainName, EntryRow, InvalidChainHash, InvalidChainName,
    },
    entry::{AUDIT_PAGE_DEFAULT, AUDIT_PAGE_MAX, AuditBatch, AuditEntry, AuditPage, AuditQuery},
    finding::{ChainReport, FINDINGS_MAX, Finding, VerifyReport},
    verify::Verifier,
};
use crate::{
    envelope::PayloadDigest,
    id::{ApiKeyId, AppId, VaultId},
    secret::SecretName,
};

/// What happened: the actions that this crate records. A host may record its own beside them.
pub mod action {
    /// An app was created.
    pub const APP_CREATED: &str = "app.created";
    /// An app's designated vault was chosen.
    pub const VAULT_DESIGNATED: &str = "app.vault_designated";
    /// An app's designation was cleared.
    pub const DESIGNATION_CLEARED: &str = "app.vault_cleared";
    /// An API key was created.
    pub const API_KEY_CREATED: &str = "api_key.created";
    /// An API key was revoked.
    pub const API_KEY_REVOKED: &str = "api_key.revoked";
    /// A vault was created.
    pub const VAULT_CREATED: &str = "vault.created";
    /// A vault's metadata was replaced.
    pub const VAULT_UPDATED: &str = "vault.updated";
    /// A vault was deleted with its secrets.
    pub const VAULT_DELETED: &str = "vault.deleted";
    /// A secret was created or overwritten.
    pub const SECRET_PUT: &str = "secret.put";
    /// A secret was deleted.
    pub const SECRET_DELETED: &str = "secret.deleted";
    /// A trusted tool asked for a secret; the outcome says whether it was authorised.
    pub const SECRET_RELEASED: &str = "secret.released";
    /// A secret was put under a fresh DEK; its value and its version stayed.
    pub const SECRET_REENCRYPTED: &str = "secret.reencrypted";
    /// A KEK was used with this database for the first time.
    pub const KEK_REGISTERED: &str = "kek.registered";
    /// Secrets began to be moved to a KEK.
    pub const KEK_REWRAP_STARTED: &str = "kek.rewrap_started";
    /// That ended; the outcome says how.
    pub const KEK_REWRAP_ENDED: &str = "kek.rewrap_ended";
    /// A KEK that wraps nothing any more was forgotten.
    pub const KEK_RETIRED: &str = "kek.retired";

    /// All of them. A host that recorded these itself would confuse the check of the audit.
    pub const ALL: &[&str] = &[
        APP_CREATED,
        VAULT_DESIGNATED,
        DESIGNATION_CLEARED,
        API_KEY_CREATED,
        API_KEY_REVOKED,
        VAULT_CREATED,
        VAULT_UPDATED,
        VAULT_DELETED,
        SECRET_PUT,
        SECRET_DELETED,
        SECRET_RELEASED,
        SECRET_REENCRYPTED,
        KEK_REGISTERED,
        KEK_REWRAP_STARTED,
        KEK_REWRAP_ENDED,
        KEK_RETIRED,
    ];
}

/// To what kinds of things it happened, as far as this crate records them. A host may add its own.
pub mod subject_kind {
    /// An app.
    pub const APP: &str = "app";
    /// An API key.
    pub const API_KEY: &str = "api_key";
    /// A vault.
    pub const VAULT: &str = "vault";
    /// A secret; its subject id is `<vault id>/<name>`, or the name alone where no vault is designated.
    pub const SECRET: &str = "secret";
    /// A KEK.
    pub const KEK: &str = "kek";

    /// All of them.
    pub const ALL: &[&str] = &[APP, API_KEY, VAULT, SECRET, KEK];
}

/// How it ended.
pub mod outcome {
    /// It was done.
    pub const OK: &str = "ok";
    /// A release that was authorised; a time limit can still have stopped the call behind it.
    pub const AUTHORISED: &str = "authorised";
    /// A release was refused because the app designates no vault.
    pub const NO_VAULT_DESIGNATED: &str = "no_vault_designated";
    /// What it was about is not there.
    pub const NOT_FOUND: &str = "not_found";
    /// Some of it was done, and what could not be was left as it was.
    pub const INCOMPLETE: &str = "incomplete";
    /// It was stopped before its end.
    pub const STOPPED: &str = "stopped";
    /// It failed before its end.
    pub const FAILED: &str = "failed";
    /// It was refused.
    pub const DENIED: &str = "denied";
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever operates the host: the command line, or the admin token.
    Operator,
    /// The holder of an API key.
    ApiKey(ApiKeyId),
    /// A trusted tool component.
    Tool {
        /// The name it is configured under.
        name: String,
        /// The digest of its code.
        digest: String,
    },
    /// The host on its own account.
    Host,
}

/// Who asks, and as part of what. Every change takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The request it is part of.
    pub request_id: Option<String>,
    /// The agent session it is part of.
    pub session_id: Option<String>,
}

impl Caller {
    /// The operator, outside any request.
    pub fn operator() -> Self {
        Self::of(Actor::Operator)
    }

    /// The host on its own account.
    pub fn host() -> Self {
        Self::of(Actor::Host)
    }

    /// The holder of an API key, outside any request.
    pub fn api_key(id: ApiKeyId) -> Self {
        Self::of(Actor::ApiKey(id))
    }

    /// The same as part of a request.
    pub fn in_request(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    fn of(actor: Actor) -> Self {
        Self {
            actor,
            request_id: None,
            session_id: None,
        }
    }
}

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
