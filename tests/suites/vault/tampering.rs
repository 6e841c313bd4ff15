//! Whoever can write the database cannot make it give a wrong value, and the audit shows what was touched.

use rusqlite::{Connection, types::Value};
use vault_core::{App, Finding, ReleaseError, VaultView};

use crate::fixture::{Platform, app_with_vault, operator, put, release};

/// Every byte of every column of every table that a release reads: flipped, it leads to an error or changes nothing,
/// never to another value; and the lists go on working.
#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_gives_an_error_or_the_right_value() {
    let platform = Platform::new().await;
    platform.put("OTHER", "other value").await;
    platform.put("TARGET", "the value").await;
    let raw = tampering(&platform);
    let mut flips = 0;
    for (table, condition) in [
        ("secrets", "name = 'TARGET'"),
        ("vaults", "TRUE"),
        ("apps", "TRUE"),
        ("keks", "TRUE"),
    ] {
        let rowid: i64 = raw
            .query_row(
                &format!("SELECT rowid FROM {table} WHERE {condition}"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        for column in columns(&raw, table) {
            let cell = Cell {
                raw: &raw,
                table,
                column: &column,
                rowid,
            };
            let whole = cell.read();
            for index in 0..cell.bytes(&whole) {
                cell.write(&cell.flipped(&whole, index));
                let at = format!("{table}.{column} byte {index}");
                let released = platform.release("TARGET").await;
                let harmless = match (table, column.as_str()) {
                    ("secrets", "created_at" | "updated_at") => true,
                    ("secrets", _) => false,
                    // What no release depends on.
                    ("vaults", "name" | "created_at" | "updated_at") => true,
                    (
                        "apps",
                        "team_id" | "name" | "slug" | "description" | "created_at" | "updated_at",
                    ) => true,
                    ("keks", _) => true,
                    // Free-form metadata may change meaning, and an id names nothing any more.
                    _ => released.is_ok(),
                };
                match released {
                    Ok(value) => assert!(harmless && value == "the value", "{at}"),
                    Err(error) => assert!(!harmless, "{at}: {error}"),
                }
                if table == "secrets" {
                    let listed = platform
                        .vaults
                        .secrets(platform.app.id, platform.vault.id)
                        .await
                        .unwrap();
                    assert!(
                        listed.iter().any(|secret| secret.name.as_str() == "OTHER"),
                        "{at}"
                    );
                    if column == "payload" {
                        let findings = platform.vaults.audit_verify(None).await.unwrap().findings;
                        assert!(
                            matches!(&findings[..], [Finding::SecretEdited { .. }]),
                            "{at}: {findings:?}"
                        );
                    }
                } else {
                    platform.vaults.vaults(platform.app.id).await.unwrap();
                    platform.vaults.apps().await.unwrap();
                    platform.vaults.kek_status().await.unwrap();
                }
                cell.write(&whole);
                flips += 1;
            }
        }
    }
    assert!(flips > 400, "{flips}");
    assert_eq!(platform.release("TARGET").await.unwrap(), "the value");
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_of_the_audit_is_found() {
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    platform.release("A").await.unwrap();
    let raw = tampering(&platform);
    let last: i64 = raw
        .query_row("SELECT max(seq) FROM audit", [], |row| row.get(0))
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
                // A flipped seq is the rowid itself.
                match (&flipped, column.as_str()) {
                    (Value::Integer(seq), "seq") => Cell {
                        rowid: *seq,
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
async fn a_row_opens_nowhere_but_at_its_place() {
    let platform = Platform::new().await;
    let vaults = &platform.vaults;
    let (other_app, other_vault) = app_with_vault(vaults, "Other").await;
    let spare = "spare".parse().unwrap();
    let spare = vaults
        .create_vault(&operator(), platform.app.id, spare, Default::default())
        .await
        .unwrap();
    platform.put("A", "value a").await;
    let places: [(&App, &VaultView, &str); 3] = [
        (&platform.app, &platform.vault, "B"),
        (&platform.app, &spare, "A"),
        (&other_app, &other_vault, "A"),
    ];
    let raw = tampering(&platform);
    for (app, vault, name) in places {
        put(vaults, app, vault, name, "its own value").await;
        vaults
            .designate(&operator(), app.id, Some(vault.id))
            .await
            .unwrap();
        let copy = "UPDATE secrets SET (kek_id, wrapped, payload, version) = (SELECT kek_id, wrapped, payload, version
            FROM secrets WHERE vault_id = ?1 AND name = 'A') WHERE vault_id = ?2 AND name = ?3";
        let (from, to) = (id(&platform.vault), id(vault));
        assert_eq!(
            raw.execute(copy, rusqlite::params![from, to, name])
                .unwrap(),
            1
        );
        let released = release(vaults, app, name).await;
        assert!(
            matches!(released, Err(ReleaseError::Unavailable { .. })),
            "{}/{name}",
            vault.name
        );
        let findings = vaults.audit_verify(None).await.unwrap().findings;
        assert!(
            findings
                .iter()
                .any(|finding| matches!(finding, Finding::SecretEdited { .. })),
            "{findings:?}"
        );
        vaults
            .delete_secret(&operator(), app.id, vault.id, &name.parse().unwrap())
            .await
            .unwrap();
    }
    // A whole vault moved to another app takes its rows along and opens none of them.
    vaults
        .designate(&operator(), platform.app.id, None)
        .await
        .unwrap();
    let moved = "UPDATE vaults SET app_id = ?, name = 'moved' WHERE id = ?";
    raw.execute(
        moved,
        [other_app.id.as_bytes().to_vec(), id(&platform.vault)],
    )
    .unwrap();
    vaults
        .designate(&operator(), other_app.id, Some(platform.vault.id))
        .await
        .unwrap();
    assert!(matches!(
        release(vaults, &other_app, "A").await,
        Err(ReleaseError::Unavailable { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_opens_only_as_what_it_was_and_the_audit_names_it() {
    let platform = Platform::new().await;
    platform.put("A", "old").await;
    let raw = tampering(&platform);
    raw.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM secrets")
        .unwrap();
    platform.put("A", "new").await;
    raw.execute_batch(
        "UPDATE secrets SET (wrapped, payload) = (SELECT wrapped, payload FROM kept)",
    )
    .unwrap();
    assert!(matches!(
        platform.release("A").await,
        Err(ReleaseError::Unavailable { .. })
    ));
    raw.execute_batch("UPDATE secrets SET version = 1").unwrap();
    let findings = platform.vaults.audit_verify(None).await.unwrap().findings;
    assert!(
        matches!(
            &findings[..],
            [Finding::SecretRolledBack {
                row_version: 1,
                audit_version: 2,
                ..
            }]
        ),
        "{findings:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_apps_vault_designates_nothing() {
    let platform = Platform::new().await;
    let (other_app, other_vault) = app_with_vault(&platform.vaults, "Other").await;
    put(&platform.vaults, &other_app, &other_vault, "A", "theirs").await;
    let point = "UPDATE apps SET vault_id = ? WHERE id = ?";
    let ids = [id(&other_vault), platform.app.id.as_bytes().to_vec()];
    tampering(&platform).execute(point, ids).unwrap();
    assert!(matches!(
        platform.release("A").await,
        Err(ReleaseError::NoVaultDesignated)
    ));
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
    let (app, vault, a) = (
        platform.app.id,
        platform.vault.id,
        crate::fixture::name("A"),
    );
    assert!(
        !platform
            .vaults
            .delete_secret(&operator(), app, vault, &a)
            .await
            .unwrap()
    );
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
    let old_head = platform.vaults.audit_verify(None).await.unwrap().head;
    platform.put("A", "v").await;
    platform.release("A").await.unwrap();
    let head = platform.vaults.audit_verify(old_head).await.unwrap().head;
    tampering(&platform)
        .execute_batch("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
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
    let (vaults, app, vault) = (&platform.vaults, platform.app.id, platform.vault.id);
    let (name, value) = (crate::fixture::name("A"), crate::fixture::value("w"));
    assert!(
        vaults
            .put_secret(&operator(), app, vault, &name, &value)
            .await
            .is_err()
    );
    assert!(
        vaults
            .delete_secret(&operator(), app, vault, &name)
            .await
            .is_err()
    );
    assert!(vaults.designate(&operator(), app, None).await.is_err());
    assert!(vaults.delete_vault(&operator(), app, vault).await.is_err());
    raw.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(platform.release("A").await.unwrap(), "v");
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}

/// A connection that ignores what would keep an honest writer from nonsense.
fn tampering(platform: &Platform) -> Connection {
    let raw = platform.raw();
    raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        .unwrap();
    raw
}

fn id(vault: &VaultView) -> Vec<u8> {
    vault.id.as_bytes().to_vec()
}

fn columns(raw: &Connection, table: &str) -> Vec<String> {
    let mut statement = raw
        .prepare("SELECT name FROM pragma_table_info(?)")
        .unwrap();
    statement
        .query_map([table], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// One value in the database.
struct Cell<'a> {
    raw: &'a Connection,
    table: &'a str,
    column: &'a str,
    rowid: i64,
}

impl Cell<'_> {
    fn read(&self) -> Value {
        let sql = format!("SELECT {} FROM {} WHERE rowid = ?", self.column, self.table);
        self.raw
            .query_row(&sql, [self.rowid], |row| row.get(0))
            .unwrap()
    }

    fn bytes(&self, value: &Value) -> usize {
        match value {
            Value::Blob(bytes) => bytes.len(),
            Value::Text(text) => text.len(),
            Value::Integer(_) => 8,
            Value::Null | Value::Real(_) => 0,
        }
    }

    /// The same value with one bit of this byte the other way round; text may become bytes that are no text.
    fn flipped(&self, value: &Value, index: usize) -> Value {
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[index] ^= 1 << (index % 8);
            bytes
        };
        match value {
            Value::Integer(number) => Value::Integer(i64::from_be_bytes(
                flip(&number.to_be_bytes()).try_into().unwrap(),
            )),
            Value::Text(text) => Value::Blob(flip(text.as_bytes())),
            Value::Blob(bytes) => Value::Blob(flip(bytes)),
            other => other.clone(),
        }
    }

    fn write(&self, value: &Value) {
        let declared = "SELECT type FROM pragma_table_info(?) WHERE name = ?";
        let declared: String = self
            .raw
            .query_row(declared, [self.table, self.column], |row| row.get(0))
            .unwrap();
        let sql = format!(
            "UPDATE {} SET {} = CAST(?1 AS {declared}) WHERE rowid = ?2",
            self.table, self.column
        );
        assert_eq!(
            self.raw
                .execute(&sql, rusqlite::params![value, self.rowid])
                .unwrap(),
            1,
            "{sql}"
        );
    }
}
