//! Findings in entries and rows that are made up. The tests of the stores cover real databases.

use super::*;
use crate::audit::{AuditDraft, Caller, Subject};

fn put(subject: &str, version: u64) -> AuditDraft {
    let draft =
        AuditDraft::new(&Caller::host(), action::SECRET_PUT).about(Subject::new("secret", subject));
    draft.stored(version, digest(version))
}

fn digest(version: u64) -> PayloadDigest {
    PayloadDigest::derive(&version.to_be_bytes())
}

fn named(name: &str) -> ChainName {
    ChainName::from_stored(name).unwrap()
}

fn chain_of(name: &str, drafts: impl IntoIterator<Item = AuditDraft>) -> Vec<EntryRow> {
    let name = named(name);
    let mut head = name.genesis();
    let link = |(seq, draft)| {
        let row = EntryRow::chain(draft, &name, seq, &head);
        head = row.derive_hash();
        row
    };
    (1..).zip(drafts).map(link).collect()
}

fn chain(drafts: impl IntoIterator<Item = AuditDraft>) -> Vec<EntryRow> {
    chain_of("", drafts)
}

fn findings(
    expected: impl IntoIterator<Item = ChainHash>,
    rows: Vec<EntryRow>,
    secrets: &[(&str, u64)],
) -> Vec<Finding> {
    let mut verifier = Verifier::new(expected.into_iter().collect());
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
        [Finding::EditedEntry {
            chain: ChainName::LOCAL,
            seq: 3
        }]
    );
    let mut recomputed = rows();
    recomputed[2].outcome = "denied".into();
    recomputed[2].hash = recomputed[2].derive_hash().as_bytes().to_vec();
    assert_eq!(
        findings(None, recomputed, &current),
        [Finding::BrokenLink {
            chain: ChainName::LOCAL,
            seq: 4
        }]
    );
    let mut gap = rows();
    gap.remove(1);
    assert_eq!(
        findings(None, gap, &current),
        [Finding::Gap {
            chain: ChainName::LOCAL,
            after_seq: 1,
            next_seq: 3
        }]
    );
    let mut headless = rows();
    headless.remove(0);
    assert_eq!(
        findings(None, headless, &current),
        [Finding::Gap {
            chain: ChainName::LOCAL,
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
            [Finding::ImpossiblePlace {
                chain: ChainName::LOCAL,
                seq
            }]
        );
    }
    let mut after = rows();
    after[1].seq = i64::MAX;
    let place = Finding::Gap {
        chain: ChainName::LOCAL,
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
    let mut verifier = Verifier::new(Vec::new());
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

/// Two chains whose entries alternate.
fn braided() -> Vec<EntryRow> {
    let [a, b] = [
        chain_of("host-a", (1..4).map(|version| put("v/a", version))),
        chain_of("host-b", (1..4).map(|version| put("v/b", version))),
    ];
    a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect()
}

const CURRENT: [(&str, u64); 2] = [("v/a", 3), ("v/b", 3)];

#[test]
fn chains_are_checked_each_for_itself_and_reported_by_name() {
    let rows = braided();
    let heads = [rows[4].derive_hash(), rows[1].derive_hash()];
    assert_eq!(findings(heads, rows.clone(), &CURRENT), []);
    let nowhere = ChainHash::GENESIS;
    assert_eq!(
        findings([nowhere, heads[0]], rows.clone(), &CURRENT),
        [Finding::HeadNotFound { expected: nowhere }]
    );
    let mut verifier = Verifier::new(Vec::new());
    let mut rows = rows;
    rows.extend(chain([AuditDraft::new(&Caller::host(), "x.y")]));
    let heads = [6, 4, 5].map(|index| rows[index].derive_hash());
    rows.into_iter().for_each(|row| verifier.entry(row));
    let report = verifier.finish();
    let found: Vec<_> = report
        .chains
        .iter()
        .map(|chain| (chain.name.as_str(), chain.entries, chain.head))
        .collect();
    assert_eq!(
        found,
        [
            ("", 1, heads[0]),
            ("host-a", 3, heads[1]),
            ("host-b", 3, heads[2])
        ]
    );
    assert_eq!((report.entries, report.head()), (7, Some(heads[0])));
}

#[test]
fn what_is_wrong_with_one_chain_is_said_of_that_one() {
    let chain = named("host-b");
    let mut edited = braided();
    edited[3].outcome = "denied".into();
    assert_eq!(
        findings(None, edited, &CURRENT),
        [Finding::EditedEntry {
            chain: chain.clone(),
            seq: 2
        }]
    );
    let mut gap = braided();
    gap.remove(3);
    assert_eq!(
        findings(None, gap, &CURRENT),
        [Finding::Gap {
            chain,
            after_seq: 1,
            next_seq: 3
        }]
    );
    let mut unreadable = braided();
    unreadable[5].chain = "no name".into();
    assert_eq!(
        findings(None, unreadable, &[("v/a", 3), ("v/b", 2)]),
        [Finding::DamagedEntry {
            chain: named("host-a"),
            after_seq: 3
        }]
    );
}

/// The hashes of a chain would hold under any name if its first entry did not cover the name.
#[test]
fn a_chain_cannot_be_passed_off_as_another() {
    for (is, claims) in [("host-a", "host-b"), ("host-a", ""), ("", "host-a")] {
        let mut rows = chain_of(is, [put("v/a", 1), put("v/a", 2)]);
        rows.iter_mut()
            .for_each(|row| row.chain = claims.to_owned());
        assert_eq!(
            findings(None, rows, &[("v/a", 2)]),
            [Finding::BrokenLink {
                chain: named(claims),
                seq: 1
            }]
        );
    }
}

#[test]
fn a_chain_whose_end_should_be_remembered_is() {
    let forgotten = |all: bool| {
        let mut verifier = Verifier::new(Vec::new());
        let rows = chain_of("host-a", [put("v/a", 1)]);
        verifier.chain_head(&named("host-b"), named("host-b").genesis());
        if all {
            verifier.all_heads_are_kept();
        }
        rows.into_iter().for_each(|row| verifier.entry(row));
        verifier.secret("v/a".to_owned(), 1, digest(1));
        verifier.finish().findings
    };
    let finding = Finding::HeadForgotten {
        chain: named("host-a"),
    };
    assert!(forgotten(true).contains(&finding));
    assert!(!forgotten(false).contains(&finding));
}

#[test]
fn a_chain_ends_where_the_store_remembers_its_end() {
    let ends = |remembered: &[(&str, ChainHash)], rows: Vec<EntryRow>| {
        let mut verifier = Verifier::new(Vec::new());
        for (chain, hash) in remembered {
            verifier.chain_head(&named(chain), *hash);
        }
        rows.into_iter().for_each(|row| verifier.entry(row));
        verifier.secret("v/a".to_owned(), 3, digest(3));
        verifier.secret("v/b".to_owned(), 3, digest(3));
        verifier.finish().findings
    };
    let rows = braided();
    let [earlier, a, b] = [3, 4, 5].map(|index| rows[index].derive_hash());
    assert_eq!(ends(&[("host-a", a), ("host-b", b)], rows.clone()), []);
    assert_eq!(
        ends(&[("host-a", a), ("host-b", earlier)], rows.clone()),
        [Finding::ChainEndsElsewhere {
            chain: named("host-b"),
            expected: earlier,
            found: Some(b)
        }]
    );
    assert_eq!(
        ends(&[("host-c", a)], rows),
        [Finding::ChainEndsElsewhere {
            chain: named("host-c"),
            expected: a,
            found: None
        }]
    );
}

#[test]
fn an_older_row_stays_one_when_the_entries_of_two_chains_change_places() {
    let first = chain_of("host-a", [put("v/a", 1)]);
    let second = chain_of("host-b", [put("v/a", 2)]);
    for rows in [
        [first.clone(), second.clone()].concat(),
        [second, first].concat(),
    ] {
        assert_eq!(
            findings(None, rows, &[("v/a", 1)]),
            [Finding::SecretRolledBack {
                secret: "v/a".to_owned(),
                row_version: 1,
                audit_version: 2
            }]
        );
    }
}

#[test]
fn findings_are_bounded_and_counted() {
    let mut verifier = Verifier::new(Vec::new());
    (0..FINDINGS_MAX + 5).for_each(|_| verifier.damaged_entry());
    let report = verifier.finish();
    assert_eq!(
        (report.findings.len(), report.findings_total),
        (FINDINGS_MAX, FINDINGS_MAX as u64 + 5)
    );
    assert!(!report.is_clean());
}
