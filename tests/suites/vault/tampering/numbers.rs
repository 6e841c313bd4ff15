//! Numbers in the database that no honest writer ever stored. They lead to errors and findings,
//! never to a panic, and undamaged data keeps working.

use std::fs;

use rusqlite::Connection;
use vault_core::{
    AuditDraft, AuditQuery, Caller, ChainName, Finding, ReleaseContext, ReleaseError, SecretVaults,
    SqliteOptions, SqliteStore, StoreError, Unavailability, VaultError,
};

use super::tampering;
use crate::fixture::{Platform, delete, keyring, name, operator, try_put};

/// Sets every number of every table, in its first and its last row, to the edges of its range.
#[tokio::test(flavor = "multi_thread")]
async fn no_number_makes_anything_panic() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    platform.put("B", "w").await;
    platform.release("A").await.unwrap();
    let (key, _) = platform
        .vaults
        .create_api_key(&operator(), platform.app.id, "ci".parse().unwrap(), None)
        .await
        .unwrap();
    platform.vaults.close().await.unwrap();
    let numbers = numbers(&platform.raw());
    assert!(numbers.len() >= 15, "{numbers:?}");
    for (table, column) in &numbers {
        for row in ["min", "max"] {
            for extreme in [i64::MIN, -1, 0, i64::MAX] {
                let at = format!("{table}.{column} of the {row} row is {extreme}");
                let path = platform.path().with_file_name(&at);
                fs::copy(platform.path(), &path).unwrap();
                let edit = format!(
                    "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
                    UPDATE {table} SET {column} = {extreme}
                    WHERE rowid = (SELECT {row}(rowid) FROM {table})"
                );
                Connection::open(&path)
                    .unwrap()
                    .execute_batch(&edit)
                    .unwrap();
                let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
                let store = std::sync::Arc::new(store);
                let vaults = SecretVaults::open(store, Some(keyring(&platform.kek))).await;
                let vaults = vaults.unwrap();
                let report = vaults.audit_verify(None).await.unwrap();
                let expected_clean = !matches!(
                    (table.as_str(), column.as_str()),
                    ("audit", _) | ("secrets", "version")
                );
                assert_eq!(
                    report.is_clean(),
                    expected_clean,
                    "{at}: {:?}",
                    report.findings
                );
                use_everything(&vaults, &platform, key.id, &at).await;
                vaults.close().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_at_an_impossible_place_is_named() {
    let platform = Platform::new().await;
    let raw = tampering(&platform);
    raw.execute_batch("UPDATE audit SET place = -1 WHERE place = 2")
        .unwrap();
    let report = platform.vaults.audit_verify(None).await.unwrap();
    assert_eq!(
        report.findings,
        [
            Finding::ImpossiblePlace {
                chain: ChainName::LOCAL,
                seq: -1
            },
            Finding::Gap {
                chain: ChainName::LOCAL,
                after_seq: 1,
                next_seq: 3
            }
        ]
    );
    // All entries get impossible places. Nothing is appended after them.
    raw.execute_batch("UPDATE audit SET place = -100 - place")
        .unwrap();
    let (vaults, app) = (&platform.vaults, platform.app.id);
    damaged(vaults.designate(&operator(), app, None).await);
    assert!(vaults.designated(app).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_at_its_end_takes_no_more_until_it_is_repaired() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    let raw = tampering(&platform);
    let last: i64 = raw
        .query_row("SELECT max(place) FROM audit", [], |row| row.get(0))
        .unwrap();
    let move_last = "UPDATE audit SET place = ?1 WHERE place = (SELECT max(place) FROM audit)";
    raw.execute(move_last, [i64::MAX]).unwrap();
    for _ in 0..2 {
        assert!(matches!(
            platform.release("A").await,
            Err(ReleaseError::Unavailable {
                cause: Unavailability::Store(StoreError::Damaged { .. })
            })
        ));
        let refused = try_put(&platform.vaults, &platform.app, &platform.vault, "A", "w").await;
        damaged(refused.map(drop));
    }
    platform.vaults.probe().await.unwrap();
    raw.execute(move_last, [last]).unwrap();
    assert_eq!(platform.release("A").await.unwrap(), "v");
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_at_its_end_counts_no_further() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    platform.put("B", "v").await;
    let raw = tampering(&platform);
    let (vaults, app, vault) = (&platform.vaults, &platform.app, &platform.vault);
    let set = |sql: &str, number: i64| assert_eq!(raw.execute(sql, [number]).unwrap(), 1);
    let version = "UPDATE secrets SET version = ? WHERE name = 'A'";
    set(version, i64::MAX);
    damaged(try_put(vaults, app, vault, "A", "w").await.map(drop));
    // Stored anew, it has a version again.
    assert!(delete(vaults, app, vault, "A").await.unwrap());
    assert_eq!(platform.put("A", "w").await.version, 1);

    let wraps = "UPDATE keks SET wraps = ?";
    set(wraps, i64::MAX);
    damaged(try_put(vaults, app, vault, "B", "w").await.map(drop));
    assert_eq!(platform.release("B").await.unwrap(), "v");
    set(wraps, 3);
    assert_eq!(platform.put("B", "w").await.version, 2);
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

/// Calls everything that reads or counts numbers. Errors must be about the data and not about this
/// program.
async fn use_everything(
    vaults: &SecretVaults,
    platform: &Platform,
    key: vault_core::ApiKeyId,
    at: &str,
) {
    let (app, vault, caller) = (&platform.app, &platform.vault, operator());
    let check = |what: &str, outcome: Result<(), VaultError>| {
        let broken = matches!(
            outcome,
            Err(VaultError::Store(
                StoreError::Panicked | StoreError::Closed | StoreError::Backend(_)
            ))
        );
        assert!(!broken, "{what} while {at}: {outcome:?}");
    };
    let page = vaults.audit_entries(AuditQuery::default()).await;
    check("entries", page.map(drop));
    check("apps", vaults.apps().await.map(drop));
    check("app", vaults.app(app.id).await.map(drop));
    check("vaults", vaults.vaults(app.id).await.map(drop));
    check("API keys", vaults.api_keys(app.id).await.map(drop));
    let revoked = vaults.revoke_api_key(&caller, app.id, key).await;
    check("revoke", revoked.map(drop));
    let listed = vaults.secrets(app.id, vault.id).await;
    check("secrets", listed.map(drop));
    check("KEKs", vaults.kek_status().await.map(drop));
    let context = ReleaseContext::new(app.id, "tool", "sha256:00");
    for secret in ["A", "B"] {
        let released = vaults.release(&context, &name(secret)).await;
        if let Err(ReleaseError::Unavailable {
            cause: Unavailability::Store(error),
        }) = released
        {
            check("release", Err(error.into()));
        }
        let put = try_put(vaults, app, vault, secret, "x").await;
        check("put", put.map(drop));
        let deleted = delete(vaults, app, vault, secret).await;
        check("delete", deleted.map(drop));
    }
    let draft = AuditDraft::new(&Caller::host(), "egress.denied");
    check("record", vaults.record(draft).await.map(drop));
    let designated = vaults.designate(&caller, app.id, Some(vault.id)).await;
    check("designate", designated);
    vaults.probe().await.unwrap();
}

/// Every column of every table that holds a number.
fn numbers(raw: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT t.name, c.name FROM pragma_table_list t JOIN pragma_table_info(t.name) c
        WHERE t.schema = 'main' AND t.type = 'table' AND c.type = 'INTEGER'";
    let mut statement = raw.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn damaged(outcome: Result<(), VaultError>) {
    assert!(
        matches!(outcome, Err(VaultError::Store(StoreError::Damaged { .. }))),
        "{outcome:?}"
    );
}
