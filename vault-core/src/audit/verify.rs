//! Checks a whole audit chain, and the secrets' rows against what the audit last said of them.
//!
//! It is fed by a store that walks entries and rows inside one snapshot, and opens nothing. What it cannot find:
//! a tail that was cut, a chain that was computed anew, a whole file put back, unless a head that was kept elsewhere
//! is expected.

use std::collections::HashMap;

use super::{ChainHash, EntryRow, FINDINGS_MAX, Finding, VerifyReport, action};
use crate::envelope::PayloadDigest;

/// Takes in the entries in order of place, then the secrets' rows, and reports.
pub struct Verifier {
    expected_head: Option<ChainHash>,
    last: Option<(u64, ChainHash)>,
    secrets: HashMap<String, Expected>,
    report: VerifyReport,
}

/// What the audit last said of a secret that exists.
struct Expected {
    version: u64,
    digest: Vec<u8>,
}

impl Verifier {
    /// A check that has seen nothing yet.
    pub fn new(expected_head: Option<ChainHash>) -> Self {
        let report = VerifyReport {
            entries: 0,
            secrets: 0,
            head: None,
            findings: Vec::new(),
            findings_total: 0,
        };
        Self {
            expected_head,
            last: None,
            secrets: HashMap::new(),
            report,
        }
    }

    /// Takes in the next entry.
    pub fn entry(&mut self, row: EntryRow) {
        self.report.entries += 1;
        let Some(seq) = u64::try_from(row.seq).ok().filter(|seq| *seq >= 1) else {
            // It is no part of the chain, which goes on from the entry before it.
            return self.find(Finding::ImpossiblePlace { seq: row.seq });
        };
        let (last_seq, last_hash) = self.last.unwrap_or((0, ChainHash::GENESIS));
        if seq - 1 != last_seq {
            self.find(Finding::Gap {
                after_seq: last_seq,
                next_seq: seq,
            });
        } else if row.prev_hash != last_hash.as_bytes() {
            self.find(Finding::BrokenLink { seq });
        }
        let derived = row.derive_hash();
        if row.hash != derived.as_bytes() {
            self.find(Finding::EditedEntry { seq });
        }
        // Going on from the stored hash keeps one edit one finding.
        let hash = ChainHash::try_from(row.hash.as_slice()).unwrap_or(derived);
        if self.expected_head == Some(hash) {
            self.expected_head = None;
        }
        self.last = Some((seq, hash));
        self.follow(row);
    }

    /// Takes in that the next entry cannot be read.
    pub fn damaged_entry(&mut self) {
        self.report.entries += 1;
        let after_seq = self.last.map_or(0, |(seq, _)| seq);
        self.find(Finding::DamagedEntry { after_seq });
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

    /// What was found.
    pub fn finish(mut self) -> VerifyReport {
        let mut missing: Vec<String> = std::mem::take(&mut self.secrets).into_keys().collect();
        missing.sort_unstable();
        for secret in missing {
            self.find(Finding::SecretMissing { secret });
        }
        if let Some(expected) = self.expected_head {
            self.find(Finding::HeadNotFound { expected });
        }
        self.report.head = self.last.map(|(_, hash)| hash);
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
                self.secrets.insert(subject, expected);
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
mod tests {
    use super::*;
    use crate::audit::{AuditDraft, Caller, Subject};

    fn put(subject: &str, version: u64) -> AuditDraft {
        let draft = AuditDraft::new(&Caller::host(), action::SECRET_PUT)
            .about(Subject::new("secret", subject));
        draft.stored(version, digest(version))
    }

    fn digest(version: u64) -> PayloadDigest {
        PayloadDigest::derive(&version.to_be_bytes())
    }

    fn chain(drafts: impl IntoIterator<Item = AuditDraft>) -> Vec<EntryRow> {
        let mut head = ChainHash::GENESIS;
        let link = |(seq, draft)| {
            let row = EntryRow::chain(draft, seq, &head);
            head = row.derive_hash();
            row
        };
        (1..).zip(drafts).map(link).collect()
    }

    fn findings(
        expected: Option<ChainHash>,
        rows: Vec<EntryRow>,
        secrets: &[(&str, u64)],
    ) -> Vec<Finding> {
        let mut verifier = Verifier::new(expected);
        rows.into_iter().for_each(|row| verifier.entry(row));
        secrets.iter().for_each(|(secret, version)| {
            verifier.secret((*secret).to_owned(), *version, digest(*version))
        });
        verifier.finish().findings
    }

    #[test]
    fn an_untouched_chain_is_clean_and_older_heads_are_found_in_it() {
        let rows = chain([put("v/a", 1), put("v/a", 2), put("v/b", 1)]);
        let old_head = rows[1].derive_hash();
        assert_eq!(
            findings(Some(old_head), rows, &[("v/a", 2), ("v/b", 1)]),
            []
        );
        assert_eq!(findings(None, vec![], &[]), []);
    }

    #[test]
    fn edits_gaps_and_recomputed_entries_are_named() {
        let rows = || chain((0..5).map(|version| put("v/a", version)));
        let current = [("v/a", 4)];
        let mut edited = rows();
        edited[2].outcome = "denied".into();
        assert_eq!(
            findings(None, edited, &current),
            [Finding::EditedEntry { seq: 3 }]
        );
        let mut recomputed = rows();
        recomputed[2].outcome = "denied".into();
        recomputed[2].hash = recomputed[2].derive_hash().as_bytes().to_vec();
        assert_eq!(
            findings(None, recomputed, &current),
            [Finding::BrokenLink { seq: 4 }]
        );
        let mut gap = rows();
        gap.remove(1);
        assert_eq!(
            findings(None, gap, &current),
            [Finding::Gap {
                after_seq: 1,
                next_seq: 3
            }]
        );
        let mut headless = rows();
        headless.remove(0);
        assert_eq!(
            findings(None, headless, &current),
            [Finding::Gap {
                after_seq: 0,
                next_seq: 2
            }]
        );
    }

    #[test]
    fn an_entry_before_the_first_place_is_named_and_the_rest_still_checked() {
        let rows = || chain([put("v/a", 1), put("v/a", 2)]);
        for seq in [i64::MIN, -1, 0] {
            let mut before = rows();
            before.insert(
                0,
                EntryRow {
                    seq,
                    ..before[1].clone()
                },
            );
            assert_eq!(
                findings(None, before, &[("v/a", 2)]),
                [Finding::ImpossiblePlace { seq }]
            );
        }
        let mut after = rows();
        after[1].seq = i64::MAX;
        let place = Finding::Gap {
            after_seq: 1,
            next_seq: i64::MAX.cast_unsigned(),
        };
        assert_eq!(findings(None, after, &[("v/a", 2)])[0], place);
    }

    #[test]
    fn a_cut_tail_needs_an_expected_head() {
        let mut rows = chain([put("v/a", 1), put("v/a", 2)]);
        let head = rows[1].derive_hash();
        rows.pop();
        assert_eq!(findings(None, rows.clone(), &[("v/a", 1)]), []);
        assert_eq!(
            findings(Some(head), rows, &[("v/a", 1)]),
            [Finding::HeadNotFound { expected: head }]
        );
    }

    #[test]
    fn rows_are_compared_with_the_latest_entry_about_them() {
        let secret = || "v/a".to_owned();
        let rows = || chain([put("v/a", 1), put("v/a", 2)]);
        assert_eq!(
            findings(None, rows(), &[("v/a", 1)]),
            [Finding::SecretRolledBack {
                secret: secret(),
                row_version: 1,
                audit_version: 2
            }]
        );
        assert_eq!(
            findings(None, rows(), &[("v/a", 3)]),
            [Finding::SecretEdited {
                secret: secret(),
                version: 3
            }]
        );
        assert_eq!(
            findings(None, rows(), &[]),
            [Finding::SecretMissing { secret: secret() }]
        );
        assert_eq!(
            findings(None, rows(), &[("v/a", 2), ("v/b", 1)]),
            [Finding::SecretExtra {
                secret: "v/b".to_owned()
            }]
        );
        let mut verifier = Verifier::new(None);
        rows().into_iter().for_each(|row| verifier.entry(row));
        verifier.secret(secret(), 2, digest(9));
        assert_eq!(
            verifier.finish().findings,
            [Finding::SecretEdited {
                secret: secret(),
                version: 2
            }]
        );
    }

    #[test]
    fn deletions_take_what_they_delete_and_nothing_else() {
        let about = |action, kind: &'static str, id: &str| {
            AuditDraft::new(&Caller::host(), action).about(Subject::new(kind, id))
        };
        let rows = chain([
            put("v/a", 1),
            put("v/ab", 1),
            put("w/a", 1),
            about(action::SECRET_DELETED, "secret", "v/a"),
            about(action::VAULT_DELETED, "vault", "w"),
        ]);
        assert_eq!(findings(None, rows, &[("v/ab", 1)]), []);
    }

    #[test]
    fn findings_are_bounded_and_counted() {
        let mut verifier = Verifier::new(None);
        (0..FINDINGS_MAX + 5).for_each(|_| verifier.damaged_entry());
        let report = verifier.finish();
        assert_eq!(
            (report.findings.len(), report.findings_total),
            (FINDINGS_MAX, FINDINGS_MAX as u64 + 5)
        );
        assert!(!report.is_clean());
    }
}
