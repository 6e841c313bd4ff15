//! The audit: who did what to which thing, with what outcome.
//!
//! Never a value, a length or a digest of a value. How entries are chained is in `audit::chain`, how the chain is
//! checked in `audit::verify`, where they are kept in `store`.

mod chain;
mod verify;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

pub use self::{
    chain::{ChainHash, EntryRow, InvalidChainHash},
    verify::{FINDINGS_MAX, Finding, Verifier, VerifyReport},
};
use crate::{
    envelope::PayloadDigest,
    id::{ApiKeyId, AppId, AuditEntryId, VaultId},
    secret::SecretName,
};

/// How many audit entries a page has when nothing is said.
pub const AUDIT_PAGE_DEFAULT: u32 = 50;

/// How many audit entries a page can have at the most.
pub const AUDIT_PAGE_MAX: u32 = 1000;

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
    /// A KEK was used with this database for the first time.
    pub const KEK_REGISTERED: &str = "kek.registered";

    /// All of them. A host that recorded these itself would confuse the check of the audit.
    pub(crate) const ALL: [&str; 12] = [
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
        KEK_REGISTERED,
    ];
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
    /// `app`, `api_key`, `vault`, `secret`, `kek`, or a kind of the host's own.
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
        Self::new("secret", format_args!("{vault_id}/{name}"))
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

    /// On behalf of an API key.
    pub fn on_behalf_of(mut self, api_key_id: Option<ApiKeyId>) -> Self {
        self.api_key_id = api_key_id;
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

/// An entry of the audit.
///
/// It serialises to the shape that clients know; what has no field there is in its `metadata`.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// Its hash, over its content and the hash before it.
    pub hash: ChainHash,
    /// Which entry.
    pub id: AuditEntryId,
    /// In which app, unless it is about the whole platform.
    pub app_id: Option<AppId>,
    /// Who.
    pub actor: Actor,
    /// The API key that it was done by or on behalf of.
    pub api_key_id: Option<ApiKeyId>,
    /// What happened.
    pub action: String,
    /// To what.
    pub subject: Option<Subject>,
    /// How it ended.
    pub outcome: String,
    /// The request it was part of.
    pub request_id: Option<String>,
    /// The agent session it was part of.
    pub session_id: Option<String>,
    /// The version of the secret that was put or released.
    pub secret_version: Option<u64>,
    /// Whatever else was recorded.
    pub detail: Map<String, Value>,
    /// When.
    pub created_at: Timestamp,
}

impl AuditEntry {
    /// The `metadata` that clients see: the actor, the outcome, the request and the details.
    pub fn metadata(&self) -> Map<String, Value> {
        let mut metadata = self.detail.clone();
        let mut set = |key: &str, value: Value| drop(metadata.insert(key.to_owned(), value));
        match &self.actor {
            Actor::Operator => set("actor", "operator".into()),
            Actor::ApiKey(_) => set("actor", "api_key".into()),
            Actor::Host => set("actor", "host".into()),
            Actor::Tool { name, digest } => {
                set("actor", "tool".into());
                set("tool", name.as_str().into());
                set("tool_digest", digest.as_str().into());
            }
        }
        set("outcome", self.outcome.as_str().into());
        if let Some(request_id) = &self.request_id {
            set("request_id", request_id.as_str().into());
        }
        if let Some(version) = self.secret_version {
            set("version", version.into());
        }
        set("seq", self.seq.into());
        set("hash", self.hash.to_string().into());
        metadata
    }
}

impl Serialize for AuditEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "id": self.id,
            "app_id": self.app_id,
            "actor_user_id": null,
            "actor_api_key_id": self.api_key_id,
            "action": self.action,
            "subject_type": self.subject.as_ref().map(|subject| &subject.kind),
            "subject_id": self.subject.as_ref().map(|subject| &subject.id),
            "agent_version_id": null,
            "session_id": self.session_id,
            "metadata": self.metadata(),
            "created_at": self.created_at,
        })
        .serialize(serializer)
    }
}

/// Which entries to show, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only this app's.
    pub app_id: Option<AppId>,
    /// Only this action.
    pub action: Option<String>,
    /// Only about this kind of subject.
    pub subject_kind: Option<String>,
    /// Only from this time on.
    pub from: Option<Timestamp>,
    /// Only before this time.
    pub to: Option<Timestamp>,
    /// How many; [`AUDIT_PAGE_DEFAULT`] when absent, never more than [`AUDIT_PAGE_MAX`].
    pub limit: Option<u32>,
    /// After how many.
    pub offset: u64,
}

impl AuditQuery {
    /// How many entries this query shows at the most.
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(AUDIT_PAGE_DEFAULT).min(AUDIT_PAGE_MAX)
    }
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// How many entries fit the query in all.
    pub total: u64,
    /// The page size that was used.
    pub limit: u32,
    /// How many were skipped.
    pub offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_serialises_to_the_shape_that_clients_know() {
        let caller = Caller::api_key(ApiKeyId::make()).in_request("req-1");
        let subject = Subject::secret(VaultId::make(), &"A".parse().unwrap());
        let draft = AuditDraft::new(&caller, action::SECRET_PUT)
            .app(AppId::make())
            .about(subject.clone())
            .detail("note", 1);
        let row = EntryRow::chain(draft, 7, &ChainHash::GENESIS);
        let shown = serde_json::to_value(AuditEntry::try_from(row).unwrap()).unwrap();
        let keys: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
        let expected = "id app_id actor_user_id actor_api_key_id action subject_type subject_id agent_version_id session_id metadata created_at";
        assert_eq!(keys.join(" "), expected);
        assert_eq!(shown["subject_id"], subject.id);
        assert_eq!(shown["actor_user_id"], Value::Null);
        assert_eq!(shown["metadata"]["request_id"], "req-1");
        assert_eq!(shown["metadata"]["outcome"], "ok");
        assert_eq!(shown["metadata"]["note"], 1);
        assert!(shown["created_at"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_page_is_bounded() {
        assert_eq!(AuditQuery::default().page_size(), AUDIT_PAGE_DEFAULT);
        assert_eq!(
            AuditQuery {
                limit: Some(u32::MAX),
                ..AuditQuery::default()
            }
            .page_size(),
            AUDIT_PAGE_MAX
        );
    }
}
