//! Moves from SQLite to PostgreSQL and back.

use std::ops::ControlFlow;

use tavora_host::storage::{self, config::PostgresConfig};
use tavora_tests::eventually::wait_until;
use tavora_tests::postgres::{Database, Postgres};
use vault_core::{
    SecretVaults, SqliteTarget, Store, StoreError, TransferError, TransferPhase, TransferSource,
    TransferTarget,
    store::transfer::{BATCH_MAX_ROWS, Table, survey, transfer},
};

use super::{Empty, Filled, assert_all_are_moved, assert_same, dump, findings, moved, recorded};
use crate::fixture::{Platform, operator, put, release};

/// The name of the host that moves.
const MOVER: &str = "mover";

/// All tables as text, without the place of secrets.
fn contents(database: &Database) -> String {
    let tables = [
        ("teams", "id"),
        ("apps", "id"),
        ("api_keys", "id"),
        ("vaults", "id"),
        ("keks", "id"),
        ("secrets", "vault_id, name"),
        ("audit", "place"),
    ];
    let table = |(table, key): (&str, &str)| {
        let rows = database.query(&format!("SELECT t FROM {table} t ORDER BY {key}"));
        format!("{table}\n{rows}\n")
    };
    tables.map(table).concat()
}

fn config() -> PostgresConfig {
    PostgresConfig {
        host_name: Some(MOVER.parse().unwrap()),
        ..PostgresConfig::default()
    }
}

fn source(database: &Database) -> Box<dyn TransferSource> {
    storage::source(database.url().parse().unwrap(), None, &config(), None).unwrap()
}

fn target(database: &Database) -> Box<dyn TransferTarget> {
    storage::target(database.url().parse().unwrap(), None, &config(), None).unwrap()
}

/// The number of rows in the tables that a move fills. A database without tables has none.
fn held(database: &Database) -> u64 {
    if database.query("SELECT to_regclass('audit') IS NULL") == "t" {
        return 0;
    }
    let count = "(SELECT count(*) FROM apps) + (SELECT count(*) FROM api_keys) + (SELECT count(*) FROM vaults)
        + (SELECT count(*) FROM keks) + (SELECT count(*) FROM secrets) + (SELECT count(*) FROM audit)";
    database.query(&format!("SELECT {count}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back_everything_is_as_it_was() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database, back) = (Filled::new().await, postgres.database(), Empty::new());
    let before = dump(&filled.platform.path());
    let there = moved(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    assert!(there.audit.is_clean(), "{:?}", there.audit.findings);

    // The moved database works there: it releases, takes writes, and its audit continues in a chain
    // of its own.
    let store = std::sync::Arc::new(database.store("web").await.unwrap());
    let vaults = SecretVaults::open(store, Some(filled.keyring()))
        .await
        .unwrap();
    let report = vaults.audit_verify(None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let (app, vault) = (&filled.platform.app, &filled.platform.vault);
    for (secret, expected) in [("KEY_0", "first"), ("KEY_1", "second"), ("NEWER", "newer")] {
        assert_eq!(release(&vaults, app, secret).await.unwrap(), expected);
    }
    assert!(release(&vaults, app, "GONE").await.is_err());
    put(&vaults, app, vault, "KEY_1", "third").await;
    let report = vaults.audit_verify(report.head()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let chains: Vec<_> = report
        .chains
        .iter()
        .map(|chain| chain.name.as_str())
        .collect();
    assert_eq!(chains, ["", MOVER, "web"]);
    let wraps = vaults.kek_status().await.unwrap();
    vaults.close().await.unwrap();
    drop(vaults);

    let returned = moved(&mut *source(&database), &mut back.target())
        .await
        .unwrap();
    assert!(returned.audit.is_clean(), "{:?}", returned.audit.findings);
    let store = vault_core::SqliteStore::open(back.path(), Default::default()).unwrap();
    let vaults = SecretVaults::open(std::sync::Arc::new(store), Some(filled.keyring()))
        .await
        .unwrap();
    assert_eq!(release(&vaults, app, "KEY_1").await.unwrap(), "third");
    let report = vaults.audit_verify(None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let counted = |status: &vault_core::KekStatus| {
        let keks = status.keks.iter();
        keks.map(|kek| (kek.kek_id, kek.wraps, kek.rows))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        counted(&vaults.kek_status().await.unwrap()),
        counted(&wraps)
    );
    vaults.close().await.unwrap();
    assert_eq!(dump(&filled.platform.path()), before);
}

/// The rows are the same byte for byte, and have the same digests on either side.
#[tokio::test(flavor = "multi_thread")]
async fn the_digests_are_those_of_sqlite() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database, back) = (Filled::new().await, postgres.database(), Empty::new());
    let first = moved(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    let mut again = moved(&mut *source(&database), &mut back.target())
        .await
        .unwrap();
    assert_same(&first, &mut again);
    // Apart from the entries about the two moves.
    let before = dump(&filled.platform.path());
    let mut after = dump(&back.path());
    let audit = &mut after.last_mut().unwrap().1;
    audit.truncate(audit.len() - 2);
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_batch_and_odd_rows_arrive() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database, back) = (Filled::new().await, postgres.database(), Empty::new());
    drop(database.store("one").await.unwrap());
    database.query(r#"ALTER TABLE secrets ALTER COLUMN name TYPE text COLLATE "en-x-icu""#);
    let raw = filled.platform.raw();
    let many = BATCH_MAX_ROWS + 10;
    // These names sort differently under other collations.
    raw.execute_batch(&format!(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {many})
        INSERT INTO secrets SELECT vault_id, iif(n % 2, 'a', 'B') || n || iif(n % 3, '_', 'é'), 1, kek_id, n, n, wrapped,
            randomblob(n * 200) FROM number, (SELECT * FROM secrets LIMIT 1);
        UPDATE audit SET detail = 'no JSON', hash = x'00' WHERE place = 3;
        UPDATE secrets SET payload = x'' WHERE name = 'KEY_0';
        UPDATE keks SET wraps = -1;
        UPDATE vaults SET metadata = 'none', created_at = 9223372036854775807;
        UPDATE audit SET place = -4 WHERE place = 5"
    ))
    .unwrap();
    drop(raw);
    let mut findings = findings(&filled.platform.path(), filled.keyring()).await;
    findings.sort();
    findings.sort();
    let there = moved(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    let found = there.audit.findings.iter();
    let mut found: Vec<_> = found.map(ToString::to_string).collect();
    found.sort();
    assert!(found == findings, "{} findings", found.len());
    moved(&mut *source(&database), &mut back.target())
        .await
        .unwrap();
    let mut after = dump(&back.path());
    let audit = &mut after.last_mut().unwrap().1;
    audit.truncate(audit.len() - 2);
    assert_eq!(after, dump(&filled.platform.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_holds_anything_is_left_as_it_is() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database) = (Filled::new().await, postgres.database());
    moved(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    let before = contents(&database);
    let other = Platform::new().await;
    other.vaults.close().await.unwrap();
    let mut from = vault_core::SqliteSource::at(other.path());
    let outcome = moved(&mut from, &mut *target(&database)).await;
    assert!(
        matches!(outcome, Err(TransferError::TargetNotEmpty { .. })),
        "{outcome:?}"
    );
    let outcome = survey(&mut from, &mut *target(&database)).await;
    assert!(matches!(outcome, Err(TransferError::TargetNotEmpty { .. })));
    assert_eq!(contents(&database), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_makes_no_tables() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database) = (Filled::new().await, postgres.database());
    survey(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.query(tables), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_stopped_leaves_the_database_empty() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database) = (Filled::new().await, postgres.database());
    for phase in [TransferPhase::Moving, TransferPhase::Checking] {
        let outcome = transfer(
            &mut filled.source(),
            &mut *target(&database),
            recorded,
            |progress| match progress.phase == phase && progress.done == progress.total {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        )
        .await;
        assert!(
            matches!(outcome, Err(TransferError::Stopped)),
            "{outcome:?}"
        );
        assert_eq!(held(&database), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_on_the_source_are_seen_and_nobody_writes_meanwhile() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database, back) = (Filled::new().await, postgres.database(), Empty::new());
    moved(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    let host = database.store("web").await.unwrap();
    host.probe().await.unwrap();
    let outcome = moved(&mut *source(&database), &mut back.target()).await;
    assert!(
        matches!(outcome, Err(TransferError::SourceInUse)),
        "{outcome:?}"
    );
    back.assert_still_empty();
    // While a host is running, the source can still be counted.
    survey(&mut *source(&database), &mut back.target())
        .await
        .unwrap();
    host.close().await.unwrap();
    drop(host);

    // A process that comes during the move has to wait, and gives up.
    let before = contents(&database);
    let mut tried = 0;
    let write = "SET lock_timeout = 100; UPDATE kek_wraps SET wraps = wraps + 1";
    transfer(
        &mut *source(&database),
        &mut back.target(),
        recorded,
        |progress| {
            if progress.done == progress.total {
                let refusal = database.try_query(write).unwrap_err();
                assert!(refusal.contains("lock timeout"), "{refusal}");
                tried += 1;
            }
            ControlFlow::Continue(())
        },
    )
    .await
    .unwrap();
    assert_eq!(tried, 2);
    assert_eq!(contents(&database), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_postgresql_cannot_keep_is_named() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    for (tampering, table, named) in [
        (
            "UPDATE audit SET subject_id = 'a' || char(0) || 'b' WHERE place = 4",
            Table::Audit,
            "the audit entry 4 has in subject_id what",
        ),
        (
            "UPDATE apps SET description = CAST(x'ff' AS TEXT)",
            Table::Apps,
            "has in description what",
        ),
    ] {
        let (filled, database) = (Filled::new().await, postgres.database());
        let raw = filled.platform.raw();
        raw.execute(tampering, []).unwrap();
        drop(raw);
        match moved(&mut filled.source(), &mut *target(&database)).await {
            Err(TransferError::Refused {
                table: found,
                source: source @ StoreError::Unkeepable { .. },
            }) => {
                assert_eq!(found, table);
                assert!(source.to_string().contains(named), "{source}");
            }
            outcome => panic!("{outcome:?}"),
        }
        assert_eq!(held(&database), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_leaves_the_database_empty() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database) = (Filled::new().await, postgres.database());
    let outcome = transfer(
        &mut filled.source(),
        &mut *target(&database),
        recorded,
        |progress| {
            if progress.phase == TransferPhase::Checking {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
                database.query(end);
                let others = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
                wait_until("ends", || database.query(others) == "0");
            }
            ControlFlow::Continue(())
        },
    )
    .await;
    assert!(
        matches!(
            outcome,
            Err(TransferError::Target(StoreError::Disconnected))
        ),
        "{outcome:?}"
    );
    assert_eq!(held(&database), 0);
}

/// A chain that was cut does not become whole by being moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_ends_elsewhere_than_its_database_remembers_is_found() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (filled, database, back) = (Filled::new().await, postgres.database(), Empty::new());
    moved(&mut filled.source(), &mut *target(&database))
        .await
        .unwrap();
    let host = database.store(MOVER).await.unwrap();
    let entry = vault_core::AuditDraft::new(&operator(), "host.said");
    host.append(entry).await.unwrap();
    host.close().await.unwrap();
    drop(host);
    database.query("DELETE FROM audit WHERE action = 'host.said' AND chain = 'mover'");
    let back = moved(&mut *source(&database), &mut SqliteTarget::at(back.path()))
        .await
        .unwrap();
    assert_eq!(back.audit.findings_total, 1, "{:?}", back.audit.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_every_table_is_moved() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    drop(database.store("one").await.unwrap());
    let columns = database.query(
        "SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'schema_history'",
    );
    let columns = columns.lines().map(|line| line.split_once('|').unwrap());
    // Wraps are summed over hosts and stand in a table of their own. The rest is made anew.
    let columns = columns.map(|(table, column)| match (table, column) {
        ("kek_wraps", "wraps") => ("keks".to_owned(), column.to_owned()),
        (table, column) => (table.to_owned(), column.to_owned()),
    });
    let derived = [
        ("chains", "hash"),
        ("chains", "name"),
        ("chains", "seq"),
        ("kek_wraps", "host"),
        ("kek_wraps", "kek_id"),
        ("secrets", "place"),
    ];
    assert_all_are_moved(columns, &derived);
}
