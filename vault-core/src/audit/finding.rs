//! Findings of a check of the audit, and its report.
//!
//! `audit::verify` makes the findings.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{ChainHash, ChainName};

/// Limits the findings that a report names. The rest are only counted.
pub const FINDINGS_MAX: usize = 1000;

/// A contradiction between the audit and what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// Entries are missing between two places of a chain.
    Gap {
        /// The chain with the gap.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
        /// The last place before the gap; 0 when the beginning is missing.
        after_seq: u64,
        /// The first place after the gap.
        next_seq: u64,
    },
    /// An entry does not continue the one before it.
    BrokenLink {
        /// The chain of the entry.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
        /// The place of the entry.
        seq: u64,
    },
    /// The content of an entry differs from the content that was hashed.
    EditedEntry {
        /// The chain of the entry.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
        /// The place of the entry.
        seq: u64,
    },
    /// An entry has a place before the first one, where none was ever recorded.
    ImpossiblePlace {
        /// The chain of the entry.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
        /// The place of the entry.
        seq: i64,
    },
    /// An entry cannot even be read.
    DamagedEntry {
        /// The chain of the last readable entry before it.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
        /// The place of the readable entry in its chain.
        after_seq: u64,
    },
    /// No chain holds the expected head: a tail was cut, a chain was computed again, or an old file
    /// was put back.
    HeadNotFound {
        /// The hash that was expected.
        expected: ChainHash,
    },
    /// A chain does not end with the entry that the store remembers as its last.
    ChainEndsElsewhere {
        /// The chain in question.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
        /// The hash that the store remembers.
        expected: ChainHash,
        /// The hash of the last existing entry.
        found: Option<ChainHash>,
    },
    /// The store remembers the last entry of each chain, but not of this one.
    HeadForgotten {
        /// The chain in question.
        #[serde(skip_serializing_if = "ChainName::is_local")]
        chain: ChainName,
    },
    /// The sealed value of a secret is not the one that the audit saw written.
    SecretEdited {
        /// `<vault id>/<name>`.
        secret: String,
        /// The version of the row.
        version: u64,
    },
    /// The row of a secret is older than the last write in the audit.
    SecretRolledBack {
        /// `<vault id>/<name>`.
        secret: String,
        /// The version in the row.
        row_version: u64,
        /// The version in the audit.
        audit_version: u64,
    },
    /// A secret is gone that the audit saw written and not deleted.
    SecretMissing {
        /// `<vault id>/<name>`.
        secret: String,
    },
    /// A secret exists that the audit never saw written, or saw deleted.
    SecretExtra {
        /// `<vault id>/<name>`.
        secret: String,
    },
    /// The row of a secret cannot even be read.
    SecretDamaged,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap {
                chain,
                after_seq,
                next_seq,
            } => {
                let chain = InChain(chain);
                write!(
                    f,
                    "entries between {after_seq} and {next_seq}{chain} are missing"
                )
            }
            Self::BrokenLink { chain, seq } => {
                let chain = InChain(chain);
                write!(
                    f,
                    "entry {seq}{chain} does not continue the entry before it"
                )
            }
            Self::EditedEntry { chain, seq } => {
                write!(f, "entry {seq}{} was edited", InChain(chain))
            }
            Self::ImpossiblePlace { chain, seq } => {
                let chain = InChain(chain);
                write!(f, "an entry has the place {seq}{chain}, where none can be")
            }
            Self::DamagedEntry { chain, after_seq } => {
                let chain = InChain(chain);
                write!(f, "an entry after {after_seq}{chain} cannot be read")
            }
            Self::HeadNotFound { expected } => {
                write!(f, "the expected head {expected} is not in the chain")
            }
            Self::ChainEndsElsewhere {
                chain, expected, ..
            } => {
                let chain = InChain(chain);
                write!(
                    f,
                    "the last entry{chain} is not {expected}, which the store remembers as the last"
                )
            }
            Self::HeadForgotten { chain } => {
                let chain = InChain(chain);
                write!(f, "the store does not remember the last entry{chain}")
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

/// Shows a chain, if the chain has a name.
struct InChain<'a>(&'a ChainName);

impl fmt::Display for InChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_local() {
            true => Ok(()),
            false => write!(f, " of chain {}", self.0),
        }
    }
}

/// The report of a check of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The number of entries in all chains.
    pub entries: u64,
    /// The number of secrets that were compared.
    pub secrets: u64,
    /// Every chain that has entries, sorted by name.
    pub chains: Vec<ChainReport>,
    /// The findings, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// The number of all findings, named or not.
    pub findings_total: u64,
}

/// A summary of one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// The name of the chain.
    pub name: ChainName,
    /// The number of the chain's entries.
    pub entries: u64,
    /// The hash of the last entry. Keep it elsewhere and expect it in the next check.
    pub head: ChainHash,
}

impl VerifyReport {
    /// Whether the audit and the stored data agree.
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    /// The hash of the last entry of the chain without a name, the only chain of a local file.
    pub fn head(&self) -> Option<ChainHash> {
        let local = self.chains.iter().find(|chain| chain.name.is_local());
        local.map(|chain| chain.head)
    }

    /// The chains that have a name.
    pub fn named(&self) -> impl Iterator<Item = &ChainReport> {
        self.chains.iter().filter(|chain| !chain.name.is_local())
    }
}

/// The head of a local file is always serialised. The list of chains is serialised only where a
/// chain has a name.
impl Serialize for VerifyReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            entries: u64,
            secrets: u64,
            head: Option<ChainHash>,
            #[serde(skip_serializing_if = "Option::is_none")]
            chains: Option<&'a [ChainReport]>,
            findings: &'a [Finding],
            findings_total: u64,
        }

        Shape {
            entries: self.entries,
            secrets: self.secrets,
            head: self.head(),
            chains: self.named().next().map(|_| &*self.chains),
            findings: &self.findings,
            findings_total: self.findings_total,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_named_where_it_has_a_name() {
        let gap = |chain| Finding::Gap {
            chain,
            after_seq: 3,
            next_seq: 5,
        };
        let (local, named) = (gap(ChainName::LOCAL), gap("host-a".parse().unwrap()));
        assert_eq!(local.to_string(), "entries between 3 and 5 are missing");
        assert_eq!(
            named.to_string(),
            "entries between 3 and 5 of chain host-a are missing"
        );
        let json = |finding| serde_json::to_value(finding).unwrap();
        assert_eq!(json(local).get("chain"), None);
        assert_eq!(json(named)["chain"], "host-a");
    }

    #[test]
    fn a_report_shows_chains_where_there_are_others_than_the_local_one() {
        let chain = |name: &str, byte: u8| ChainReport {
            name: ChainName::from_stored(name).unwrap(),
            entries: 1,
            head: ChainHash::try_from([byte; 32].as_slice()).unwrap(),
        };
        let mut report = VerifyReport {
            entries: 1,
            secrets: 0,
            chains: vec![chain("", 1)],
            findings: Vec::new(),
            findings_total: 0,
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["head"], "01".repeat(32));
        assert_eq!(json.get("chains"), None);
        report.chains = vec![chain("", 1), chain("host-a", 2)];
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["head"], "01".repeat(32));
        assert_eq!(json["chains"][1]["name"], "host-a");
        assert_eq!(json["chains"][1]["head"], "02".repeat(32));
        report.chains.remove(0);
        assert_eq!(report.head(), None);
    }
}
