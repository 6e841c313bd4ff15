//! Audit entries as they are stored, and what the chain's hash covers of them.
//!
//! A row is hashed as it is, sensible or not. Only showing a row finds out whether it is an entry.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    Actor, AuditDraft, AuditEntry, ChainHash, ChainName, Subject,
    chain::{field, optional},
};
use crate::id::{ApiKeyId, AppId, AuditEntryId};

const DOMAIN: &[u8] = b"tavora/audit-entry/v1";

/// An entry exactly as it is stored, sensible or not. The hash covers exactly this.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of AuditEntry, as columns"
)]
pub struct EntryRow {
    pub chain: String,
    pub seq: i64,
    pub id: Vec<u8>,
    pub created_at_ms: i64,
    pub app_id: Option<Vec<u8>>,
    pub actor: String,
    pub api_key_id: Option<Vec<u8>>,
    pub tool: Option<String>,
    pub tool_digest: Option<String>,
    pub action: String,
    pub subject_kind: Option<String>,
    pub subject_id: Option<String>,
    pub session_id: Option<String>,
    pub request_id: Option<String>,
    pub outcome: String,
    pub detail: String,
    pub secret_version: Option<i64>,
    pub payload_digest: Option<Vec<u8>>,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

/// The error for a row that cannot be an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an audit entry is damaged; restore it from a backup")]
pub struct DamagedEntry;

impl EntryRow {
    /// Gives a draft its id, its time and its place after `prev` in a chain. The caller's
    /// transaction commits the row.
    pub fn chain(draft: AuditDraft, chain: &ChainName, seq: i64, prev: &ChainHash) -> Self {
        let (actor, tool, tool_digest) = match draft.caller.actor {
            Actor::Operator => ("operator", None, None),
            Actor::ApiKey(_) => ("api_key", None, None),
            Actor::Host => ("host", None, None),
            Actor::Tool { name, digest } => ("tool", Some(name), Some(digest)),
        };
        // Guests and clients choose some of these texts. PostgreSQL stores no zero character, and
        // one refused entry would take the entries of others with it.
        let kept = |text: String| match text.contains('\0') {
            true => text.replace('\0', "\u{fffd}"),
            false => text,
        };
        let (subject_kind, subject_id) = draft
            .subject
            .map(|subject| (kept(subject.kind.into_owned()), kept(subject.id)))
            .unzip();
        let mut row = Self {
            chain: chain.as_str().to_owned(),
            seq,
            id: AuditEntryId::make().as_bytes().to_vec(),
            created_at_ms: Timestamp::now().as_millisecond(),
            app_id: draft.app_id.map(|id| id.as_bytes().to_vec()),
            actor: actor.to_owned(),
            api_key_id: draft.api_key_id.map(|id| id.as_bytes().to_vec()),
            tool: tool.map(kept),
            tool_digest: tool_digest.map(kept),
            action: kept(draft.action.into_owned()),
            subject_kind,
            subject_id,
            session_id: draft.caller.session_id.map(kept),
            request_id: draft.caller.request_id.map(kept),
            outcome: kept(draft.outcome.into_owned()),
            detail: serde_json::Value::Object(draft.detail).to_string(),
            secret_version: draft.secret_version.map(u64::cast_signed),
            payload_digest: draft.payload_digest.map(|digest| digest.0.to_vec()),
            prev_hash: prev.as_bytes().to_vec(),
            hash: Vec::new(),
        };
        row.hash = row.derive_hash().as_bytes().to_vec();
        row
    }

    /// The hash that this content must have. It covers the hash of the entry before it. Before the
    /// first entry stands a hash that is derived from the name of the chain.
    pub fn derive_hash(&self) -> ChainHash {
        let mut hash = Sha256::new();
        field(&mut hash, DOMAIN);
        field(&mut hash, &self.prev_hash);
        field(&mut hash, &self.seq.to_be_bytes());
        field(&mut hash, &self.id);
        field(&mut hash, &self.created_at_ms.to_be_bytes());
        optional(&mut hash, self.app_id.as_deref());
        field(&mut hash, self.actor.as_bytes());
        optional(&mut hash, self.api_key_id.as_deref());
        for text in [&self.tool, &self.tool_digest] {
            optional(&mut hash, text.as_deref().map(str::as_bytes));
        }
        field(&mut hash, self.action.as_bytes());
        for text in [
            &self.subject_kind,
            &self.subject_id,
            &self.session_id,
            &self.request_id,
        ] {
            optional(&mut hash, text.as_deref().map(str::as_bytes));
        }
        field(&mut hash, self.outcome.as_bytes());
        field(&mut hash, self.detail.as_bytes());
        optional(
            &mut hash,
            self.secret_version
                .map(i64::to_be_bytes)
                .as_ref()
                .map(|bytes| bytes.as_slice()),
        );
        optional(&mut hash, self.payload_digest.as_deref());
        ChainHash::of(hash)
    }
}

impl TryFrom<EntryRow> for AuditEntry {
    type Error = DamagedEntry;

    fn try_from(row: EntryRow) -> Result<Self, DamagedEntry> {
        let bytes = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).map_err(|_| DamagedEntry);
        let api_key_id = row
            .api_key_id
            .map(bytes)
            .transpose()?
            .map(ApiKeyId::from_bytes);
        Ok(Self {
            chain: ChainName::from_stored(&row.chain).map_err(|_| DamagedEntry)?,
            seq: u64::try_from(row.seq).map_err(|_| DamagedEntry)?,
            hash: ChainHash::try_from(row.hash.as_slice()).map_err(|_| DamagedEntry)?,
            id: AuditEntryId::from_bytes(bytes(row.id)?),
            app_id: row.app_id.map(bytes).transpose()?.map(AppId::from_bytes),
            actor: match (row.actor.as_str(), api_key_id, row.tool, row.tool_digest) {
                ("operator", ..) => Actor::Operator,
                ("host", ..) => Actor::Host,
                ("api_key", Some(id), ..) => Actor::ApiKey(id),
                ("tool", _, Some(name), Some(digest)) => Actor::Tool { name, digest },
                _ => return Err(DamagedEntry),
            },
            api_key_id,
            action: row.action,
            subject: row
                .subject_kind
                .zip(row.subject_id)
                .map(|(kind, id)| Subject {
                    kind: kind.into(),
                    id,
                }),
            outcome: row.outcome,
            request_id: row.request_id,
            session_id: row.session_id,
            secret_version: row
                .secret_version
                .map(u64::try_from)
                .transpose()
                .map_err(|_| DamagedEntry)?,
            detail: serde_json::from_str(&row.detail).map_err(|_| DamagedEntry)?,
            created_at: Timestamp::from_millisecond(row.created_at_ms).map_err(|_| DamagedEntry)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Caller;

    #[test]
    fn every_field_is_in_the_hash() {
        let caller = Caller {
            actor: Actor::Tool {
                name: "t".into(),
                digest: "d".into(),
            },
            request_id: Some("r".into()),
            session_id: Some("s".into()),
        };
        let draft = AuditDraft::new(&caller, "x.y")
            .app(AppId::make())
            .about(Subject::new("k", "i"));
        let draft = draft
            .on_behalf_of(Some(ApiKeyId::make()))
            .stored(3, crate::envelope::PayloadDigest([5; 32]));
        let row = EntryRow::chain(draft, &ChainName::LOCAL, 1, &ChainHash::GENESIS);
        assert_eq!(row.derive_hash().as_bytes().as_slice(), row.hash);
        let edits: [fn(&mut EntryRow); 18] = [
            |row| row.seq += 1,
            |row| row.id[0] ^= 1,
            |row| row.created_at_ms += 1,
            |row| row.app_id = None,
            |row| row.actor.push('x'),
            |row| row.api_key_id = None,
            |row| row.tool = None,
            |row| row.tool_digest = Some(String::new()),
            |row| row.action.push('x'),
            |row| row.subject_kind = None,
            |row| row.subject_id = None,
            |row| row.session_id = None,
            |row| row.request_id = None,
            |row| row.outcome.push('x'),
            |row| row.detail.push(' '),
            |row| row.secret_version = Some(4),
            |row| row.payload_digest = None,
            |row| row.prev_hash[0] ^= 1,
        ];
        for (index, edit) in edits.iter().enumerate() {
            let mut edited = row.clone();
            edit(&mut edited);
            assert_ne!(edited.derive_hash(), row.derive_hash(), "edit {index}");
        }
    }

    #[test]
    fn a_field_cannot_borrow_from_its_neighbour() {
        let row = EntryRow::chain(
            AuditDraft::new(&Caller::host(), "ab"),
            &ChainName::LOCAL,
            1,
            &ChainHash::GENESIS,
        );
        let mut shifted = row.clone();
        shifted.subject_kind = Some(String::new());
        assert_ne!(shifted.derive_hash(), row.derive_hash());
    }
}
