//! The hash chains: each entry's hash covers its content and the hash of the entry before it in the same chain. The first
//! one's covers the name of its chain instead, which `audit::chain::name` defines.
//!
//! The hash is unkeyed. Whoever can write the whole file can compute a new chain; `audit verify --expect-head`
//! with a head that was kept elsewhere finds that. Checking a chain is in `audit::verify`.

mod name;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use self::name::{CHAIN_NAME_MAX_CHARS, ChainName, InvalidChainName};
use super::{Actor, AuditDraft, AuditEntry, Subject};
use crate::{
    id::{ApiKeyId, AppId, AuditEntryId},
    store::StoreError,
};

const DOMAIN: &[u8] = b"tavora/audit-entry/v1";

/// The hash of an audit entry, in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an audit hash is 64 hexadecimal digits; copy it from `audit verify`")]
pub struct InvalidChainHash;

impl ChainHash {
    /// What the first entry of a chain without a name has before it; others begin with
    /// [`ChainName::genesis`].
    pub const GENESIS: Self = Self([0; 32]);

    /// The bytes, as they are stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChainHash {
    type Err = InvalidChainHash;

    fn from_str(text: &str) -> Result<Self, InvalidChainHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidChainHash)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for ChainHash {
    type Error = InvalidChainHash;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidChainHash> {
        bytes.try_into().map(Self).map_err(|_| InvalidChainHash)
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An entry exactly as it is stored, so that what is hashed is what is there, sensible or not.
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

impl EntryRow {
    /// Gives a draft its id, its time and its place after `prev` in a chain. Called inside the transaction that commits
    /// it.
    pub fn chain(draft: AuditDraft, chain: &ChainName, seq: i64, prev: &ChainHash) -> Self {
        let (actor, tool, tool_digest) = match draft.caller.actor {
            Actor::Operator => ("operator", None, None),
            Actor::ApiKey(_) => ("api_key", None, None),
            Actor::Host => ("host", None, None),
            Actor::Tool { name, digest } => ("tool", Some(name), Some(digest)),
        };
        // Guests and clients choose some of these. PostgreSQL keeps no zero character, and an entry that it refused would
        // take those of others with it.
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
            prev_hash: prev.0.to_vec(),
            hash: Vec::new(),
        };
        row.hash = row.derive_hash().0.to_vec();
        row
    }

    /// The hash that this content must have. The chain is in it by what the first entry has before it.
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
        ChainHash(hash.finalize().into())
    }
}

impl TryFrom<EntryRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged {
            what: "an audit entry",
        };
        let bytes = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).map_err(|_| damaged());
        let api_key_id = row
            .api_key_id
            .map(bytes)
            .transpose()?
            .map(ApiKeyId::from_bytes);
        Ok(Self {
            chain: ChainName::from_stored(&row.chain).map_err(|_| damaged())?,
            seq: u64::try_from(row.seq).map_err(|_| damaged())?,
            hash: ChainHash::try_from(row.hash.as_slice()).map_err(|_| damaged())?,
            id: AuditEntryId::from_bytes(bytes(row.id)?),
            app_id: row.app_id.map(bytes).transpose()?.map(AppId::from_bytes),
            actor: match (row.actor.as_str(), api_key_id, row.tool, row.tool_digest) {
                ("operator", ..) => Actor::Operator,
                ("host", ..) => Actor::Host,
                ("api_key", Some(id), ..) => Actor::ApiKey(id),
                ("tool", _, Some(name), Some(digest)) => Actor::Tool { name, digest },
                _ => return Err(damaged()),
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
                .map_err(|_| damaged())?,
            detail: serde_json::from_str(&row.detail).map_err(|_| damaged())?,
            created_at: Timestamp::from_millisecond(row.created_at_ms).map_err(|_| damaged())?,
        })
    }
}

fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn optional(hash: &mut Sha256, bytes: Option<&[u8]>) {
    hash.update([u8::from(bytes.is_some())]);
    field(hash, bytes.unwrap_or_default());
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

    #[test]
    fn a_hash_survives_its_text() {
        let hash = ChainHash([0xcd; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("cd".parse::<ChainHash>(), Err(InvalidChainHash));
    }
}
