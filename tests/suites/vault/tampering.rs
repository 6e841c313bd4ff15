//! An attacker who can write the database cannot make it return a wrong value, and the audit shows
//! the rows that were changed.

mod audit;
pub mod cell;
mod numbers;

use vault_core::{App, Finding, ReleaseError, StoreError, VaultError, VaultView};

use self::cell::{Cell, columns, tampering};
use crate::fixture::{Platform, app_with_vault, create_vault, delete, operator, put, release};

/// Flips every byte of every column of every table that a release reads. The result is an error or
/// the right value, never another value. Lists keep working.
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
                    // Releases do not depend on these.
                    ("vaults", "name" | "created_at" | "updated_at") => true,
                    (
                        "apps",
                        "team_id" | "name" | "slug" | "description" | "created_at" | "updated_at",
                    ) => true,
                    ("keks", _) => true,
                    // Free-form metadata may change its meaning, and an id may refer to nothing.
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

/// A condition on unreadable data is never met by guessing. Without a condition, damaged data can
/// be removed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_changes_unconditionally_alone() {
    let platform = Platform::new().await;
    let (vaults, app, vault) = (&platform.vaults, platform.app.id, &platform.vault);
    let damage = "UPDATE vaults SET metadata = '{'";
    tampering(&platform).execute_batch(damage).unwrap();
    let refused = vaults
        .delete_vault_if(&operator(), app, vault.id, vault.revision().into())
        .await;
    assert!(
        matches!(refused, Err(VaultError::Store(StoreError::Damaged { .. }))),
        "{refused:?}"
    );
    let repaired = vaults
        .update_vault_metadata(&operator(), app, vault.id, vault.metadata.clone())
        .await
        .unwrap();
    assert_eq!(vaults.vault(app, vault.id).await.unwrap(), repaired);
    tampering(&platform).execute_batch(damage).unwrap();
    vaults
        .delete_vault(&operator(), app, vault.id)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_opens_nowhere_but_at_its_place() {
    let platform = Platform::new().await;
    let vaults = &platform.vaults;
    let (other_app, other_vault) = app_with_vault(vaults, "Other").await;
    let spare = create_vault(vaults, &platform.app, "spare").await;
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
        delete(vaults, app, vault, name).await.unwrap();
    }
    // A whole vault that is moved to another app takes its rows along, but none of them opens.
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

fn id(vault: &VaultView) -> Vec<u8> {
    vault.id.as_bytes().to_vec()
}
