//! Audit entries as clients see them, and pages of them.
//!
//! Clients rely on this shape. `audit::row` defines how entries are stored.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{Actor, ChainHash, ChainName, Subject};
use crate::id::{ApiKeyId, AppId, AuditEntryId};

/// The default number of audit entries in a page.
pub const AUDIT_PAGE_DEFAULT: u32 = 50;

/// The largest number of audit entries in a page.
pub const AUDIT_PAGE_MAX: u32 = 1000;

/// An entry of the audit.
///
/// It serialises to the shape that clients know. Facts without a field of their own go into its
/// `metadata`.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// The chain that the entry is part of.
    pub chain: ChainName,
    /// The entry's place in its chain, from 1.
    pub seq: u64,
    /// The hash over the entry's content and the hash before it.
    pub hash: ChainHash,
    /// The id, unique everywhere.
    pub id: AuditEntryId,
    /// The app; `None` when the entry is about the whole platform.
    pub app_id: Option<AppId>,
    /// The person or program that acted.
    pub actor: Actor,
    /// The API key that acted, or for which somebody acted.
    pub api_key_id: Option<ApiKeyId>,
    /// The action, for example `secret.put`.
    pub action: String,
    /// The thing that the action concerned.
    pub subject: Option<Subject>,
    /// The outcome, for example `ok`.
    pub outcome: String,
    /// The request that the action was part of.
    pub request_id: Option<String>,
    /// The agent session that the action was part of.
    pub session_id: Option<String>,
    /// The version of the secret that was put or released.
    pub secret_version: Option<u64>,
    /// The further details of the action.
    pub detail: Map<String, Value>,
    /// The time at which the entry was recorded.
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
        if !self.chain.is_local() {
            set("chain", self.chain.as_str().into());
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

/// A query for audit entries. Answers show the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only entries of this app.
    pub app_id: Option<AppId>,
    /// Only entries with this action.
    pub action: Option<String>,
    /// Only entries about this kind of subject.
    pub subject_kind: Option<String>,
    /// Only entries from this time on.
    pub from: Option<Timestamp>,
    /// Only entries before this time.
    pub to: Option<Timestamp>,
    /// The page size. [`AUDIT_PAGE_DEFAULT`] is the default and [`AUDIT_PAGE_MAX`] the limit.
    pub limit: Option<u32>,
    /// The number of the newest matching entries to skip.
    pub offset: u64,
}

impl AuditQuery {
    /// The page size within the limits.
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(AUDIT_PAGE_DEFAULT).min(AUDIT_PAGE_MAX)
    }
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// The number of all entries that match the query.
    pub total: u64,
    /// The page size that was used.
    pub limit: u32,
    /// The number of entries that were skipped.
    pub offset: u64,
}

/// A batch of the entries that match a query.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditBatch {
    /// The entries, newest first. Damaged entries are missing.
    pub entries: Vec<AuditEntry>,
    /// The next batch begins before this place; `None` after the last batch.
    pub next: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{AuditDraft, Caller, DamagedEntry, EntryRow, action},
        id::VaultId,
    };

    #[test]
    fn an_entry_serialises_to_the_shape_that_clients_know() {
        let caller = Caller::api_key(ApiKeyId::make()).in_request("req-1");
        let subject = Subject::secret(VaultId::make(), &"A".parse().unwrap());
        let draft = AuditDraft::new(&caller, action::SECRET_PUT)
            .app(AppId::make())
            .about(subject.clone())
            .detail("note", 1);
        let mut row = EntryRow::chain(draft, &ChainName::LOCAL, 7, &ChainHash::GENESIS);
        let show = |row: &EntryRow| AuditEntry::try_from(row.clone());
        let shown = serde_json::to_value(show(&row).unwrap()).unwrap();
        let keys: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
        let expected = "id app_id actor_user_id actor_api_key_id action subject_type subject_id agent_version_id session_id metadata created_at";
        assert_eq!(keys.join(" "), expected);
        assert_eq!(shown["subject_id"], subject.id);
        assert_eq!(shown["actor_user_id"], Value::Null);
        assert_eq!(shown["metadata"]["request_id"], "req-1");
        assert_eq!(shown["metadata"]["outcome"], "ok");
        assert_eq!(shown["metadata"]["note"], 1);
        assert!(shown["created_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(shown["metadata"].get("chain"), None);
        row.chain = "host-a".to_owned();
        assert_eq!(show(&row).unwrap().metadata()["chain"], "host-a");
        row.chain = "no name".to_owned();
        assert_eq!(show(&row), Err(DamagedEntry));
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
