//! What a check of the audit can find, and its report.
//!
//! How it is found is in `audit::verify`.

use std::fmt;

use serde::Serialize;

use super::ChainHash;

/// How many findings a report names; more are only counted.
pub const FINDINGS_MAX: usize = 1000;

/// Something that is not as the audit says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// Entries are missing between two places.
    Gap {
        /// The last place before the gap; 0 when the beginning is missing.
        after_seq: u64,
        /// The place after it.
        next_seq: u64,
    },
    /// An entry does not continue the one before it.
    BrokenLink {
        /// Its place.
        seq: u64,
    },
    /// An entry's content is not what was hashed.
    EditedEntry {
        /// Its place.
        seq: u64,
    },
    /// An entry stands before the first place, where none was ever recorded.
    ImpossiblePlace {
        /// Its place.
        seq: i64,
    },
    /// An entry cannot even be read.
    DamagedEntry {
        /// The place of the last readable entry before it.
        after_seq: u64,
    },
    /// The expected head is nowhere in the chain: its tail was cut, or it was computed anew, or an old file put back.
    HeadNotFound {
        /// What was expected.
        expected: ChainHash,
    },
    /// A secret's sealed value is not the one that the audit saw written.
    SecretEdited {
        /// `<vault id>/<name>`.
        secret: String,
        /// The version of both.
        version: u64,
    },
    /// A secret's row is older than what the audit saw written.
    SecretRolledBack {
        /// `<vault id>/<name>`.
        secret: String,
        /// The version in the row.
        row_version: u64,
        /// The version in the audit.
        audit_version: u64,
    },
    /// A secret that the audit saw written and not deleted is gone.
    SecretMissing {
        /// `<vault id>/<name>`.
        secret: String,
    },
    /// A secret is there that the audit never saw written, or saw deleted.
    SecretExtra {
        /// `<vault id>/<name>`.
        secret: String,
    },
    /// A secret's row cannot even be read.
    SecretDamaged,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap {
                after_seq,
                next_seq,
            } => write!(f, "entries between {after_seq} and {next_seq} are missing"),
            Self::BrokenLink { seq } => {
                write!(f, "entry {seq} does not continue the entry before it")
            }
            Self::EditedEntry { seq } => write!(f, "entry {seq} was edited"),
            Self::ImpossiblePlace { seq } => {
                write!(f, "an entry has the place {seq}, where none can be")
            }
            Self::DamagedEntry { after_seq } => {
                write!(f, "an entry after {after_seq} cannot be read")
            }
            Self::HeadNotFound { expected } => {
                write!(f, "the expected head {expected} is not in the chain")
            }
            Self::SecretEdited { secret, version } => {
                write!(f, "secret {secret} version {version} was edited")
            }
            Self::SecretRolledBack {
                secret,
                row_version,
                audit_version,
            } => {
                write!(
                    f,
                    "secret {secret} has version {row_version} and the audit saw version {audit_version}"
                )
            }
            Self::SecretMissing { secret } => write!(f, "secret {secret} is missing"),
            Self::SecretExtra { secret } => {
                write!(f, "secret {secret} is there and the audit says it is not")
            }
            Self::SecretDamaged => write!(f, "a secret's row cannot be read"),
        }
    }
}

/// What a check of the audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// How many entries the chain has.
    pub entries: u64,
    /// How many secrets were compared.
    pub secrets: u64,
    /// The hash of the last entry; keep it elsewhere and expect it next time.
    pub head: Option<ChainHash>,
    /// The findings, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub findings_total: u64,
}

impl VerifyReport {
    /// Whether everything is as the audit says.
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }
}
