//! Edits of the audit are found, and so are edits of secrets that the audit did not record.

use rusqlite::types::Value;
use vault_core::{AuditDraft, AuditQuery, Caller, Finding, audit::AUDIT_PAGE_MAX};

use super::{Cell, columns, tampering};
use crate::fixture::{Platform, delete, operator, try_put};

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_of_the_audit_is_found() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    platform.release("A").await.unwrap();
    let raw = tampering(&platform);
    let last: i64 = raw
        .query_row("SELECT max(place) FROM audit", [], |row| row.get(0))
        .unwrap();
    for rowid in [1, last - 1, last] {
        for column in columns(&raw, "audit") {
            let cell = Cell {
                raw: &raw,
                table: "audit",
                column: &column,
                rowid,
            };
            let whole = cell.read();
            for index in 0..cell.bytes(&whole) {
                let flipped = cell.flipped(&whole, index);
                cell.write(&flipped);
                let report = platform.vaults.audit_verify(None).await.unwrap();
                assert!(!report.is_clean(), "entry {rowid} {column} byte {index}");
                // A flipped place changes the rowid itself.
                match (&flipped, column.as_str()) {
                    (Value::Integer(place), "place") => Cell {
                        rowid: *place,
                        ..cell
                    }
                    .write(&whole),
                    _ => cell.write(&whole),
                }
            }
        }
    }
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_vanish_or_appear_are_named() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    platform.put("B", "w").await;
    let raw = tampering(&platform);
    raw.execute_batch(
        "CREATE TEMP TABLE kept AS SELECT * FROM secrets; DELETE FROM secrets WHERE name = 'A'",
    )
    .unwrap();
    let secret = |name: &str| format!("{}/{name}", platform.vault.id);
    let findings = async || platform.vaults.audit_verify(None).await.unwrap().findings;
    assert_eq!(
        findings().await,
        [Finding::SecretMissing {
            secret: secret("A")
        }]
    );
    assert!(!platform.delete("A").await);
    assert_eq!(findings().await, []);
    raw.execute_batch("INSERT INTO secrets SELECT * FROM kept WHERE name = 'A'")
        .unwrap();
    assert_eq!(
        findings().await,
        [Finding::SecretExtra {
            secret: secret("A")
        }]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_is_found_by_the_head_that_was_kept() {
    let platform = Platform::new().await;
    let old_head = platform.vaults.audit_verify(None).await.unwrap().head();
    platform.put("A", "v").await;
    platform.release("A").await.unwrap();
    let head = platform.vaults.audit_verify(old_head).await.unwrap().head();
    tampering(&platform)
        .execute_batch("DELETE FROM audit WHERE place = (SELECT max(place) FROM audit)")
        .unwrap();
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
    let findings = platform.vaults.audit_verify(head).await.unwrap().findings;
    assert_eq!(
        findings,
        [Finding::HeadNotFound {
            expected: head.unwrap()
        }]
    );
}

/// An export continues even behind a batch that is damaged as a whole, and does not end there as if
/// complete.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_behind_damaged_entries() {
    let platform = Platform::new().await;
    let page = i64::from(AUDIT_PAGE_MAX);
    let record = || async {
        let draft = AuditDraft::new(&Caller::host(), "egress.denied");
        platform.vaults.record(draft).await.unwrap()
    };
    futures::future::join_all((0..2 * page + 100).map(|_| record())).await;
    let raw = tampering(&platform);
    let last: i64 = raw
        .query_row("SELECT max(place) FROM audit", [], |row| row.get(0))
        .unwrap();
    let damage = "UPDATE audit SET actor = 'nobody' WHERE place BETWEEN ? AND ?";
    let damaged = raw.execute(damage, [last - 2 * page - 50, last - 100]);
    let damaged = damaged.unwrap() as u64;
    assert!(damaged > AUDIT_PAGE_MAX.into());
    let mut export = platform.vaults.audit_export(AuditQuery::default());
    let mut exported = Vec::new();
    while let Some(batch) = export.next_batch().await.unwrap() {
        assert!(!batch.is_empty());
        exported.extend(batch.iter().map(|entry| entry.seq));
    }
    assert_eq!(exported.len() as u64, last as u64 - damaged);
    assert!(exported.is_sorted_by(|newer, older| newer > older));
    assert_eq!(exported.last(), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_audited_is_neither_released_nor_changed() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    let raw = platform.raw();
    raw.execute_batch(
        "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no audit'); END",
    )
    .unwrap();
    let released = platform.release("A").await.unwrap_err();
    assert_eq!(released.to_string(), "the vault is unavailable");
    let (vaults, app, vault) = (&platform.vaults, &platform.app, &platform.vault);
    assert!(try_put(vaults, app, vault, "A", "w").await.is_err());
    assert!(delete(vaults, app, vault, "A").await.is_err());
    assert!(vaults.designate(&operator(), app.id, None).await.is_err());
    assert!(
        vaults
            .delete_vault(&operator(), app.id, vault.id)
            .await
            .is_err()
    );
    raw.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(platform.release("A").await.unwrap(), "v");
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}
