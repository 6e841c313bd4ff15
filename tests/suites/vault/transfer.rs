//! Moving everything from one store to another: what arrives, and what remains where it did not.

mod postgres;

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, types::Value};
use serde_json::json;
use tempfile::TempDir;
use vault_core::{
    AuditDraft, ChainHash, ChainName, Keyring, LocalKek, Metadata, SecretVaults, SqliteOptions,
    SqliteSource, SqliteStore, SqliteTarget, StoreError, TableCount, TransferError,
    TransferProgress, Transferred,
    store::transfer::{
        Access, BATCH_MAX_ROWS, Cell, RawRows, Row, Table, TransferPhase, TransferSource,
        TransferTarget, survey, transfer,
    },
};

use crate::fixture::{Platform, create_vault, delete, name, operator, put, release, value};

const MOVED: &str = "platform.moved";

/// Everything that a store can hold: several apps, keys, vaults, KEKs, secrets of all ages, and a
/// long audit.
struct Filled {
    platform: Platform,
    other_kek: String,
}

impl Filled {
    async fn new() -> Self {
        let platform = Platform::new().await;
        let (vaults, app) = (&platform.vaults, &platform.app);
        let other = "Other".parse().unwrap();
        let described = Some("what \"it\" is for\n\u{1f511}".to_owned());
        let other = vaults
            .create_app(&operator(), other, None, described)
            .await
            .unwrap();
        let spare = create_vault(vaults, &other, "spare").await;
        let metadata = Metadata::parse(json!({"origins": {"SPARE": ["https://a.example"]}}));
        vaults
            .update_vault_metadata(&operator(), other.id, spare.id, metadata.unwrap())
            .await
            .unwrap();
        let expires_at = jiff::Timestamp::now() + Duration::from_secs(3600);
        for (key, expires_at) in [("one", None), ("two", Some(expires_at))] {
            vaults
                .create_api_key(&operator(), app.id, key.parse().unwrap(), expires_at)
                .await
                .unwrap();
        }
        let revoked = vaults.api_keys(app.id).await.unwrap()[0].id;
        vaults
            .revoke_api_key(&operator(), app.id, revoked)
            .await
            .unwrap();
        for number in 0..3 {
            platform.put(&format!("KEY_{number}"), "first").await;
        }
        platform.put("KEY_1", "second").await;
        platform.put("LARGE", &"x".repeat(65_536)).await;
        platform.put("GONE", "gone").await;
        assert!(platform.delete("GONE").await);
        put(vaults, &other, &spare, "SPARE", "spare").await;
        // A host with another primary KEK, which can also read values under the first host's KEK.
        let other_kek = LocalKek::make_text().to_string();
        let keyring = Keyring::local(&other_kek, Some(&platform.kek)).unwrap();
        let beside = platform.beside(keyring).await;
        put(&beside, app, &platform.vault, "NEWER", "newer").await;
        beside.close().await.unwrap();
        let doomed = create_vault(vaults, &other, "doomed").await;
        put(vaults, &other, &doomed, "DOOMED", "doomed").await;
        vaults
            .delete_vault(&operator(), other.id, doomed.id)
            .await
            .unwrap();
        assert_eq!(platform.release("KEY_1").await.unwrap(), "second");
        // More than one batch of entries.
        let said = (0..BATCH_MAX_ROWS)
            .map(|n| vaults.record(AuditDraft::new(&operator(), "host.said").detail("n", n)));
        futures::future::try_join_all(said).await.unwrap();
        vaults.close().await.unwrap();
        Self {
            platform,
            other_kek,
        }
    }

    fn source(&self) -> SqliteSource {
        SqliteSource::at(self.platform.path())
    }

    fn keyring(&self) -> Keyring {
        Keyring::local(&self.other_kek, Some(&self.platform.kek)).unwrap()
    }
}

/// A place for a database that does not exist yet.
struct Empty {
    folder: TempDir,
}

impl Empty {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("target.db")
    }

    fn target(&self) -> SqliteTarget {
        SqliteTarget::at(self.path())
    }

    /// Checks that the database has only its team, or does not exist.
    fn assert_still_empty(&self) {
        if self.path().exists() {
            let dump = dump(&self.path());
            let held: Vec<_> = dump
                .iter()
                .map(|(table, rows)| (*table, rows.len()))
                .collect();
            let expected = [
                "teams", "apps", "api_keys", "vaults", "keks", "secrets", "audit",
            ];
            let expected = expected.map(|table| (table, usize::from(table == "teams")));
            assert_eq!(held, expected);
        }
    }
}

async fn moved(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
) -> Result<Transferred, TransferError> {
    transfer(source, target, recorded, |_| ControlFlow::Continue(())).await
}

fn recorded(moved: &Transferred) -> AuditDraft {
    let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
    AuditDraft::new(&operator(), MOVED).detail("rows", rows)
}

/// All rows as SQLite has them, past this program.
fn dump(path: &Path) -> Vec<(&'static str, Vec<Vec<Value>>)> {
    let raw = Connection::open(path).unwrap();
    let tables = [
        "teams", "apps", "api_keys", "vaults", "keks", "secrets", "audit",
    ];
    tables
        .map(|table| {
            let key = match table {
                "audit" => "rowid",
                "secrets" => "vault_id, name",
                _ => "id",
            };
            let mut statement = raw
                .prepare(&format!("SELECT * FROM {table} ORDER BY {key}"))
                .unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                (0..columns)
                    .map(|column| {
                        Ok(match row.get_ref(column)? {
                            // Some text in the database is not valid UTF-8.
                            rusqlite::types::ValueRef::Text(text) => Value::Blob(text.to_vec()),
                            other => other.try_into().unwrap(),
                        })
                    })
                    .collect()
            });
            (table, rows.unwrap().map(Result::unwrap).collect())
        })
        .to_vec()
}

async fn open(path: &Path, keyring: Keyring) -> SecretVaults {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    SecretVaults::open(Arc::new(store), Some(keyring))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_as_it_was_and_goes_on() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let before = dump(&filled.platform.path());
    let moved = moved(&mut filled.source(), &mut target.target())
        .await
        .unwrap();
    assert!(moved.audit.is_clean(), "{:?}", moved.audit.findings);
    assert_eq!(moved.tables.len(), Table::ALL.len());
    for digest in &moved.tables {
        assert!(digest.rows > 0, "{} was not tried", digest.table);
    }

    // Everything arrives byte for byte, apart from the entry about the move.
    let mut after = dump(&target.path());
    let audit = &mut after.last_mut().unwrap().1;
    audit.pop();
    assert_eq!(after, before);
    assert_eq!(dump(&filled.platform.path()), before);

    let vaults = open(&target.path(), filled.keyring()).await;
    let report = vaults.audit_verify(None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let app = &filled.platform.app;
    for (secret, expected) in [("KEY_0", "first"), ("KEY_1", "second"), ("NEWER", "newer")] {
        assert_eq!(release(&vaults, app, secret).await.unwrap(), expected);
    }
    assert!(release(&vaults, app, "GONE").await.is_err());
    // Later entries continue the chain.
    let vault = &filled.platform.vault;
    put(&vaults, app, vault, "KEY_1", "third").await;
    assert!(delete(&vaults, app, vault, "LARGE").await.unwrap());
    let report = vaults.audit_verify(report.head()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    vaults.close().await.unwrap();
}

/// Checks that two moves are the same, apart from the entry about the first one.
fn assert_same(first: &Transferred, again: &mut Transferred) {
    let audit = |moved: &Transferred| {
        let mut tables = moved.tables.iter();
        tables
            .position(|table| table.table == Table::Audit)
            .unwrap()
    };
    let before = &first.tables[audit(first)];
    let at = audit(again);
    assert_eq!(again.tables[at].rows, before.rows + 1);
    assert_ne!(again.tables[at].sha256, before.sha256);
    again.tables[at] = before.clone();
    assert_eq!(again.tables, first.tables);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digests_are_those_of_the_content_wherever_it_is() {
    let (filled, second, third) = (Filled::new().await, Empty::new(), Empty::new());
    let first = moved(&mut filled.source(), &mut second.target())
        .await
        .unwrap();
    let mut again = moved(&mut SqliteSource::at(second.path()), &mut third.target())
        .await
        .unwrap();
    assert_same(&first, &mut again);
}

/// Batches end in the middle of a vault, by rows and by bytes.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_batch_of_each_table_arrives() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let raw = filled.platform.raw();
    let many = BATCH_MAX_ROWS + 10;
    let copies = |table: &str, copy: &str| {
        let numbers = format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {many})"
        );
        let insert = format!(
            "{numbers} INSERT INTO {table} SELECT {copy} FROM number, (SELECT * FROM {table} LIMIT 1)"
        );
        raw.execute(&insert, []).unwrap();
    };
    copies(
        "apps",
        "randomblob(16), team_id, name, n, description, vault_id, n, n",
    );
    copies(
        "api_keys",
        "randomblob(16), app_id, name, randomblob(32), n, n, n",
    );
    copies("vaults", "randomblob(16), app_id, n, metadata, n, n");
    copies("keks", "randomblob(16), randomblob(60), n, n");
    copies(
        "secrets",
        "vault_id, n, 1, kek_id, n, n, wrapped, randomblob(n * 200)",
    );
    drop(raw);
    let before = dump(&filled.platform.path());
    moved(&mut filled.source(), &mut target.target())
        .await
        .unwrap();
    let mut after = dump(&target.path());
    after.last_mut().unwrap().1.pop();
    assert_eq!(after, before);
}

/// A source that skips the last rows of a table.
struct Forgetful {
    source: SqliteSource,
    has_read: bool,
}

#[async_trait]
impl RawRows for Forgetful {
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError> {
        self.source.counts().await
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        self.has_read = false;
        self.source.read(table).await
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        match std::mem::replace(&mut self.has_read, true) {
            true => Ok(Vec::new()),
            false => self.source.next().await,
        }
    }
}

#[async_trait]
impl TransferSource for Forgetful {
    async fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        self.source.begin(access).await
    }

    async fn heads(&mut self) -> Result<Vec<(ChainName, ChainHash)>, StoreError> {
        self.source.heads().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_passed_over_are_missed() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let mut forgetful = Forgetful {
        source: filled.source(),
        has_read: false,
    };
    let outcome = moved(&mut forgetful, &mut target.target()).await;
    let table = Table::Audit;
    assert!(
        matches!(outcome, Err(TransferError::Differs { table: found }) if found == table),
        "{outcome:?}"
    );
    target.assert_still_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_arrives_as_odd() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let raw = filled.platform.raw();
    raw.execute_batch(
        "PRAGMA ignore_check_constraints = ON;
        UPDATE audit SET detail = 'no JSON', hash = x'00' WHERE rowid = 3;
        UPDATE audit SET subject_id = CAST(x'61ff0062' AS TEXT) WHERE rowid = 4;
        UPDATE secrets SET payload = x'' WHERE name = 'KEY_0';
        UPDATE secrets SET name = CAST(x'ff2f' AS TEXT) WHERE name = 'KEY_2';
        UPDATE keks SET wraps = -1;
        UPDATE vaults SET metadata = 'none', created_at = 9223372036854775807;
        UPDATE apps SET slug = '' WHERE slug = 'other';
        UPDATE audit SET rowid = -4 WHERE rowid = 5",
    )
    .unwrap();
    drop(raw);
    let before = dump(&filled.platform.path());
    let findings = findings(&filled.platform.path(), filled.keyring()).await;
    assert!(!findings.is_empty());
    let moved = moved(&mut filled.source(), &mut target.target())
        .await
        .unwrap();
    let found: Vec<_> = moved
        .audit
        .findings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, findings);
    let mut after = dump(&target.path());
    after.last_mut().unwrap().1.pop();
    assert_eq!(after, before);
    assert_eq!(
        self::findings(&target.path(), filled.keyring()).await,
        findings
    );
}

async fn findings(path: &Path, keyring: Keyring) -> Vec<String> {
    let vaults = open(path, keyring).await;
    let report = vaults.audit_verify(None).await.unwrap();
    vaults.close().await.unwrap();
    report.findings.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_holds_anything_is_left_as_it_is() {
    let filled = Filled::new().await;
    let other = Platform::new().await;
    let before = dump(&other.path());
    let outcome = moved(&mut filled.source(), &mut SqliteTarget::at(other.path())).await;
    let refusal = outcome.unwrap_err().to_string();
    assert_eq!(
        refusal,
        "the target is not empty: it holds 1 app, 1 vault, 1 designation, 3 audit entries; choose an empty one"
    );
    let outcome = survey(&mut filled.source(), &mut SqliteTarget::at(other.path())).await;
    assert_eq!(outcome.unwrap_err().to_string(), refusal);
    assert_eq!(dump(&other.path()), before);

    // A single row of one of these is reason enough.
    for insert in [
        "INSERT INTO keks VALUES (zeroblob(16), x'00', 0, 0)",
        "INSERT INTO apps SELECT randomblob(16), id, '', '', '', NULL, 0, 0 FROM teams",
    ] {
        let target = Empty::new();
        let store = SqliteStore::open(target.path(), SqliteOptions::default()).unwrap();
        drop(store);
        let raw = Connection::open(target.path()).unwrap();
        raw.execute(insert, []).unwrap();
        drop(raw);
        let outcome = moved(&mut filled.source(), &mut target.target()).await;
        let refused = matches!(outcome, Err(TransferError::TargetNotEmpty { .. }));
        assert!(refused, "{insert}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_counts_and_changes_nothing() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let before = fs::read(filled.platform.path()).unwrap();
    // Surveying works beside a running host.
    let _host = Connection::open(filled.platform.path()).unwrap();
    let found = survey(&mut filled.source(), &mut target.target())
        .await
        .unwrap();
    let count = |table| move |count: &&TableCount| count.table == table;
    let secrets = found.iter().find(count(Table::Secrets)).unwrap();
    assert_eq!(secrets.rows, 6);
    assert_eq!(fs::read_dir(target.folder.path()).unwrap().count(), 0);
    assert_eq!(fs::read(filled.platform.path()).unwrap(), before);

    let nowhere = target.folder.path().join("no/folder/db");
    let outcome = survey(&mut filled.source(), &mut SqliteTarget::at(nowhere)).await;
    assert!(matches!(
        outcome,
        Err(TransferError::Target(StoreError::Open { .. }))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_somebody_works_on_is_not_moved() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let host = open(&filled.platform.path(), filled.keyring()).await;
    let outcome = moved(&mut filled.source(), &mut target.target()).await;
    assert!(
        matches!(outcome, Err(TransferError::SourceInUse)),
        "{outcome:?}"
    );
    target.assert_still_empty();
    host.close().await.unwrap();
    drop(host);
    moved(&mut filled.source(), &mut target.target())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_to_the_source_while_it_is_moved() {
    let (filled, target) = (Filled::new().await, Empty::new());
    let path = filled.platform.path();
    let before = dump(&path);
    let mut tried = 0;
    let outcome = transfer(
        &mut filled.source(),
        &mut target.target(),
        recorded,
        |progress| {
            if progress.done == progress.total {
                let writer = Connection::open(&path).unwrap();
                writer.busy_timeout(Duration::from_millis(10)).unwrap();
                let written = writer.execute("UPDATE keks SET wraps = wraps + 1", []);
                let refusal = written.unwrap_err().sqlite_error_code();
                assert_eq!(refusal, Some(rusqlite::ErrorCode::DatabaseBusy));
                tried += 1;
            }
            ControlFlow::Continue(())
        },
    )
    .await;
    assert!(outcome.is_ok());
    assert_eq!(
        tried, 2,
        "one stop while rows are moved, and one while they are checked"
    );
    assert_eq!(dump(&path), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_stopped_leaves_the_target_empty() {
    let filled = Filled::new().await;
    let before = dump(&filled.platform.path());
    for phase in [TransferPhase::Moving, TransferPhase::Checking] {
        let target = Empty::new();
        let stop = |progress: &TransferProgress| match progress.phase == phase {
            true if progress.done * 2 > progress.total => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let outcome = transfer(&mut filled.source(), &mut target.target(), recorded, stop).await;
        assert!(matches!(outcome, Err(TransferError::Stopped)));
        assert!(target.path().exists());
        target.assert_still_empty();
        // The move can be repeated.
        moved(&mut filled.source(), &mut target.target())
            .await
            .unwrap();
    }
    assert_eq!(dump(&filled.platform.path()), before);
}

/// A target that loses or changes one row of one table.
struct Faulty {
    inner: SqliteTarget,
    table: Table,
    loses: bool,
}

#[async_trait]
impl RawRows for Faulty {
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError> {
        self.inner.counts().await
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        self.inner.read(table).await
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        self.inner.next().await
    }
}

#[async_trait]
impl TransferTarget for Faulty {
    async fn look(&mut self) -> Result<Vec<TableCount>, StoreError> {
        self.inner.look().await
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.inner.begin().await
    }

    async fn add(&mut self, table: Table, mut rows: Vec<Row>) -> Result<(), StoreError> {
        if table == self.table {
            if self.loses {
                rows.pop();
            } else {
                let cells = &mut rows.last_mut().unwrap().0;
                match cells.last_mut().unwrap() {
                    Cell::Integer(number) => *number ^= 1,
                    Cell::Bytes(bytes) => bytes[0] ^= 1,
                    Cell::Text(_) | Cell::Null => cells[2] = Cell::Text(b"another".to_vec()),
                }
            }
        }
        self.inner.add(table, rows).await
    }

    async fn commit(&mut self, entry: AuditDraft) -> Result<(), StoreError> {
        self.inner.commit(entry).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_hold_what_it_was_given_is_not_committed() {
    let filled = Filled::new().await;
    // The database itself refuses to lose or change rows that other rows refer to.
    for (table, loses) in [
        (Table::Apps, false),
        (Table::ApiKeys, true),
        (Table::ApiKeys, false),
        (Table::Designations, true),
        (Table::Keks, false),
        (Table::Secrets, true),
        (Table::Secrets, false),
        (Table::Audit, true),
        (Table::Audit, false),
    ] {
        let target = Empty::new();
        let mut faulty = Faulty {
            inner: target.target(),
            table,
            loses,
        };
        let outcome = moved(&mut filled.source(), &mut faulty).await;
        drop(faulty);
        match outcome {
            Err(TransferError::Differs { table: found }) => assert_eq!(found, table),
            outcome => panic!("{table}, {loses}: {outcome:?}"),
        }
        target.assert_still_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_store_takes_are_refused_with_their_table() {
    for (tampering, table) in [
        ("DELETE FROM keks", Table::Secrets),
        ("UPDATE secrets SET version = -7", Table::Secrets),
        ("UPDATE vaults SET app_id = zeroblob(16)", Table::Vaults),
    ] {
        let (filled, target) = (Filled::new().await, Empty::new());
        let raw = filled.platform.raw();
        raw.execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {tampering}"
        ))
        .unwrap();
        drop(raw);
        match moved(&mut filled.source(), &mut target.target()).await {
            Err(TransferError::Refused { table: found, .. }) => assert_eq!(found, table),
            outcome => panic!("{tampering}: {outcome:?}"),
        }
        target.assert_still_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programs_schema_is_refused() {
    let (filled, target) = (Filled::new().await, Empty::new());
    for version in [1, 99] {
        let raw = filled.platform.raw();
        raw.execute_batch(&format!("PRAGMA user_version = {version}"))
            .unwrap();
        drop(raw);
        let outcome = moved(&mut filled.source(), &mut target.target()).await;
        match (version, outcome) {
            (1, Err(TransferError::Source(StoreError::Unmigrated { found: 1, .. }))) => {}
            (99, Err(TransferError::Source(StoreError::NewerSchema { found: 99, .. }))) => {}
            (version, outcome) => panic!("{version}: {outcome:?}"),
        }
        target.assert_still_empty();
    }
}

/// A column or a table that is added and not moved would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_every_table_is_moved() {
    let platform = Platform::new().await;
    let raw = platform.raw();
    let columns = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'";
    let mut statement = raw.prepare(columns).unwrap();
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_all_are_moved(columns.unwrap().map(Result::unwrap), &[]);
}

/// Checks that all columns are moved, apart from those that are `derived` in the store.
fn assert_all_are_moved(found: impl Iterator<Item = (String, String)>, derived: &[(&str, &str)]) {
    let found: BTreeSet<_> = found.collect();
    let own = |(table, column): (&str, &str)| (table.to_owned(), column.to_owned());
    let moved = Table::ALL.into_iter().flat_map(|table| {
        let columns = table.columns().iter();
        columns.map(move |column| match table {
            Table::Designations => (
                "apps",
                if column.name == "app_id" {
                    "id"
                } else {
                    column.name
                },
            ),
            table => (table.name(), column.name),
        })
    });
    let moved: BTreeSet<_> = moved.chain(derived.iter().copied()).map(own).collect();
    assert_eq!(found, moved);
}

/// Sealed rows are bound to their place and not to the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_moved_is_overwritten_as_ever() {
    let (filled, target) = (Filled::new().await, Empty::new());
    moved(&mut filled.source(), &mut target.target())
        .await
        .unwrap();
    let vaults = open(&target.path(), filled.keyring()).await;
    let (app, vault) = (&filled.platform.app, &filled.platform.vault);
    let stored = vaults
        .put_secret(
            &operator(),
            app.id,
            vault.id,
            &name("KEY_1"),
            &value("third"),
        )
        .await
        .unwrap();
    assert_eq!(stored.version, 3);
    vaults.close().await.unwrap();
}
