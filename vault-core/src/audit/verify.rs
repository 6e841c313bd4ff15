//! The check of whole audit chains, and of the secrets' rows against what the audit last recorded
//! of them.
//!
//! A store walks entries and rows inside one snapshot and feeds them in. Nothing is opened here.
//! The check finds a cut tail, a recomputed chain or an old file only if it expects a head that was
//! kept elsewhere. When entries of several chains change places with each other, it finds that only
//! if a secret's versions then run backwards.

use std::collections::{BTreeMap, HashMap};

use super::{
    ChainHash, ChainName, ChainReport, EntryRow, FINDINGS_MAX, Finding, VerifyReport, action,
};
use crate::envelope::PayloadDigest;

/// Takes in the entries of all chains in the store's order, then the secrets' rows, and reports.
pub struct Verifier {
    expected_heads: Vec<ChainHash>,
    remembered: Vec<(ChainName, ChainHash)>,
    remembers_all: bool,
    chains: BTreeMap<ChainName, Walked>,
    /// The chain and place of the last readable entry, whatever its chain.
    last: (ChainName, u64),
    secrets: HashMap<String, Expected>,
    report: VerifyReport,
}

/// The end of a chain as far as it was walked.
struct Walked {
    entries: u64,
    seq: u64,
    hash: ChainHash,
}

/// The state that the audit last recorded of a secret that exists.
struct Expected {
    version: u64,
    digest: Vec<u8>,
}

impl Verifier {
    /// A check that has seen nothing yet. Each expected head must be the hash of an entry of some
    /// chain.
    pub fn new(expected_heads: Vec<ChainHash>) -> Self {
        let report = VerifyReport {
            entries: 0,
            secrets: 0,
            chains: Vec::new(),
            findings: Vec::new(),
            findings_total: 0,
        };
        Self {
            expected_heads,
            remembered: Vec::new(),
            remembers_all: false,
            chains: BTreeMap::new(),
            last: (ChainName::LOCAL, 0),
            secrets: HashMap::new(),
            report,
        }
    }

    /// Takes in the hash that the store remembers as that of a chain's last entry.
    pub fn chain_head(&mut self, chain: &ChainName, hash: ChainHash) {
        self.remembered.push((chain.clone(), hash));
    }

    /// Notes that the store remembers the last entry of every chain. From then on, a chain without
    /// a remembered entry is a finding.
    pub fn all_heads_are_kept(&mut self) {
        self.remembers_all = true;
    }

    /// Takes in the next entry.
    pub fn entry(&mut self, row: EntryRow) {
        let Ok(chain) = ChainName::from_stored(&row.chain) else {
            return self.damaged_entry();
        };
        self.report.entries += 1;
        let Some(seq) = u64::try_from(row.seq).ok().filter(|seq| *seq >= 1) else {
            // This entry is no part of the chain. The next entry continues the one before it.
            let seq = row.seq;
            return self.find(Finding::ImpossiblePlace { chain, seq });
        };
        let (last_seq, last_hash) = match self.chains.get(&chain) {
            Some(walked) => (walked.seq, walked.hash),
            None => (0, chain.genesis()),
        };
        if seq - 1 != last_seq {
            self.find(Finding::Gap {
                chain: chain.clone(),
                after_seq: last_seq,
                next_seq: seq,
            });
        } else if row.prev_hash != last_hash.as_bytes() {
            let chain = chain.clone();
            self.find(Finding::BrokenLink { chain, seq });
        }
        let derived = row.derive_hash();
        if row.hash != derived.as_bytes() {
            let chain = chain.clone();
            self.find(Finding::EditedEntry { chain, seq });
        }
        // Continue from the stored hash, so that one edit makes one finding.
        let hash = ChainHash::try_from(row.hash.as_slice()).unwrap_or(derived);
        self.expected_heads.retain(|expected| *expected != hash);
        self.last = (chain.clone(), seq);
        let start = Walked {
            entries: 0,
            seq,
            hash,
        };
        let walked = self.chains.entry(chain).or_insert(start);
        (walked.entries, walked.seq, walked.hash) = (walked.entries + 1, seq, hash);
        self.follow(row);
    }

    /// Takes in that the next entry cannot be read.
    pub fn damaged_entry(&mut self) {
        self.report.entries += 1;
        let (chain, after_seq) = self.last.clone();
        self.find(Finding::DamagedEntry { chain, after_seq });
    }

    /// Takes in a secret's row, after all entries.
    pub fn secret(&mut self, secret: String, version: u64, digest: PayloadDigest) {
        self.report.secrets += 1;
        match self.secrets.remove(&secret) {
            None => self.find(Finding::SecretExtra { secret }),
            Some(expected) if version < expected.version => {
                let (row_version, audit_version) = (version, expected.version);
                self.find(Finding::SecretRolledBack {
                    secret,
                    row_version,
                    audit_version,
                });
            }
            Some(expected) if version > expected.version || digest.0 != *expected.digest => {
                self.find(Finding::SecretEdited { secret, version });
            }
            Some(_) => {}
        }
    }

    /// Takes in that a secret's row cannot be read.
    pub fn damaged_secret(&mut self) {
        self.report.secrets += 1;
        self.find(Finding::SecretDamaged);
    }

    /// The report, after everything was taken in.
    pub fn finish(mut self) -> VerifyReport {
        let mut missing: Vec<String> = std::mem::take(&mut self.secrets).into_keys().collect();
        missing.sort_unstable();
        for secret in missing {
            self.find(Finding::SecretMissing { secret });
        }
        for expected in std::mem::take(&mut self.expected_heads) {
            self.find(Finding::HeadNotFound { expected });
        }
        if self.remembers_all {
            let is_forgotten =
                |chain: &&ChainName| self.remembered.iter().all(|it| it.0 != **chain);
            let forgotten: Vec<_> = self.chains.keys().filter(is_forgotten).cloned().collect();
            for chain in forgotten {
                self.find(Finding::HeadForgotten { chain });
            }
        }
        for (chain, expected) in std::mem::take(&mut self.remembered) {
            let found = self.chains.get(&chain).map(|walked| walked.hash);
            if found != Some(expected) {
                self.find(Finding::ChainEndsElsewhere {
                    chain,
                    expected,
                    found,
                });
            }
        }
        let chains = std::mem::take(&mut self.chains).into_iter();
        let report = |(name, walked): (ChainName, Walked)| ChainReport {
            name,
            entries: walked.entries,
            head: walked.hash,
        };
        self.report.chains = chains.map(report).collect();
        self.report
    }

    fn follow(&mut self, row: EntryRow) {
        let Some(subject) = row.subject_id else {
            return;
        };
        match row.action.as_str() {
            action::SECRET_PUT | action::SECRET_REENCRYPTED => {
                let version = row
                    .secret_version
                    .and_then(|version| version.try_into().ok());
                let expected = Expected {
                    version: version.unwrap_or(0),
                    digest: row.payload_digest.unwrap_or_default(),
                };
                // No chain fixes the order between its entries and another's, but versions only
                // grow while a secret exists.
                let is_older = |known: &Expected| expected.version < known.version;
                if !self.secrets.get(&subject).is_some_and(is_older) {
                    self.secrets.insert(subject, expected);
                }
            }
            action::SECRET_DELETED => drop(self.secrets.remove(&subject)),
            action::VAULT_DELETED => {
                let inside = format!("{subject}/");
                self.secrets
                    .retain(|secret, _| !secret.starts_with(&inside));
            }
            _ => {}
        }
    }

    fn find(&mut self, finding: Finding) {
        self.report.findings_total += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests;
