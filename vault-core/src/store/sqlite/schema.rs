//! Opens SQLite files: permissions, pragmas, migrations.
//!
//! Migrations are the files of `migrations/sqlite/`, in order. Each is applied once, in the
//! transaction that also raises `user_version`. A released migration never changes.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access},
};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use crate::{rights::Rights, store::StoreError};

/// All migrations. The first raises the schema to version 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_team_id.sql"),
    include_str!("../../../migrations/sqlite/0003_chains.sql"),
];

/// Marks a file as a vault database (`PRAGMA application_id`): "tvra".
const APPLICATION_ID: i64 = 0x7476_7261;

const SAFETY_PRAGMAS: &str =
    "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;
    PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;";
const STATEMENT_CACHE: usize = 64;

/// Opens the connection that writes. It creates and migrates the database.
pub(super) fn open_writer(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let cannot_open = |source| StoreError::Open {
        path: path.into(),
        source: Arc::new(source),
    };
    let deadline = Instant::now() + busy_timeout;
    loop {
        create(path).map_err(cannot_open)?;
        let opened = identity(path).map_err(cannot_open)?;
        let connection = try_open_writer(path, busy_timeout);
        // The file may have been replaced while this waited for the lock. Then every answer so far
        // was about another file. From now on it cannot be replaced: that needs the file alone, and
        // a connection in WAL mode always holds a lock.
        let stayed = identity(path).map_err(cannot_open)? == opened;
        if stayed {
            return connection;
        }
        if Instant::now() >= deadline {
            return Err(StoreError::Busy);
        }
    }
}

fn try_open_writer(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    // Check the rights first, because SQLite only says that it cannot open something. The folder
    // matters too, because SQLite creates its log there.
    for needed in [path, folder_of(path)] {
        // The attempt itself explains any other problem better.
        if let Err(Errno::EROFS | Errno::EACCES) = access(needed, AccessFlags::W_OK) {
            return Err(StoreError::ReadOnly);
        }
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)?;
    check_kind(&connection, path)?;
    make_private(path).map_err(|source| StoreError::Open {
        path: path.into(),
        source: Arc::new(source),
    })?;
    connection.execute_batch(SAFETY_PRAGMAS)?;
    switch_to_wal(&connection, busy_timeout)?;
    migrate(&mut connection, MIGRATIONS)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)?;
    connection.execute_batch(SAFETY_PRAGMAS)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

/// Opens an existing file, to read or to write.
pub(super) fn connect(
    path: &Path,
    access: OpenFlags,
    busy_timeout: Duration,
) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |source: rusqlite::Error| StoreError::Open {
        path: path.into(),
        source: Arc::new(source),
    };
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Without this, SQLite plans a prepared statement anew whenever a bound value could change the
    // plan, which is each time. That took a third of the time of a release.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Creates a missing file for its owner alone.
fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => File::open(folder_of(path))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The folder that holds a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The path of a file that SQLite keeps beside a database.
pub(super) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The identity of the file at this path, whatever its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Removes the rights of other users. SQLite gives the companions that it creates the mode of the
/// file.
///
/// A group of this process keeps its rights where it may also write to the folder. Kubernetes gives
/// a volume to such a group (`fsGroup`), and the next user may have no other way to read the file.
fn make_private(path: &Path) -> io::Result<()> {
    let is_shared = fs::metadata(folder_of(path)).is_ok_and(|found| {
        let rights = Rights::of(&found);
        rights.group_writes() && rights.group_is_ours()
    });
    for file in [
        path.to_owned(),
        companion(path, "-wal"),
        companion(path, "-shm"),
    ] {
        let Ok(found) = fs::metadata(&file) else {
            continue;
        };
        let rights = Rights::of(&found);
        let is_own_groups = rights.group_is_ours() && !rights.has_others();
        if !found.is_file() || !(rights.has_group() || rights.has_others()) {
            continue;
        }
        if is_shared && is_own_groups {
            if rights.is_news(&file) {
                tracing::warn!(path = %file.display(), mode = rights.octal(), "the group of the data folder has rights to the database file");
            }
            continue;
        }
        let kept = match is_shared && rights.group_is_ours() {
            true => 0o770,
            false => 0o700,
        };
        let mode = fs::Permissions::from_mode(found.permissions().mode() & kept);
        match fs::set_permissions(&file, mode) {
            Ok(()) => {
                tracing::warn!(path = %file.display(), "other users had rights to the database file; they are taken away");
            }
            // The file belongs to another user, and this one reads it through its group.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_own_groups => {
                tracing::warn!(path = %file.display(), mode = rights.octal(), "the file's group has rights to the database file, and only its owner can take them away");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Refuses a database of something else before anything is written to it. An empty file is welcome.
fn check_kind(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let tables = "SELECT count(*) FROM sqlite_schema";
    match application_id(connection, path)? {
        APPLICATION_ID => Ok(()),
        0 if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 => Ok(()),
        _ => Err(StoreError::NotAVault { path: path.into() }),
    }
}

/// Refuses a file that is not a vault database yet.
pub(super) fn require_vault(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match application_id(connection, path)? {
        APPLICATION_ID => Ok(()),
        _ => Err(StoreError::NotAVault { path: path.into() }),
    }
}

fn application_id(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    match connection.query_row("PRAGMA application_id", [], |row| row.get(0)) {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::NotADatabase =>
        {
            Err(StoreError::NotAVault { path: path.into() })
        }
        other => Ok(other?),
    }
}

/// Switches the journal to WAL. The switch needs the file to itself for a moment, and SQLite does
/// not wait for that.
fn switch_to_wal(connection: &Connection, busy_timeout: Duration) -> Result<(), StoreError> {
    let deadline = Instant::now() + busy_timeout;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match mode.map_err(StoreError::from) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Err(StoreError::Busy) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5))
            }
            Err(error) => return Err(error),
            Ok(mode) => {
                let cause = format!(
                    "the journal mode stays {mode:?}; the file system does not support WAL"
                );
                return Err(StoreError::Backend(Arc::from(Box::<
                    dyn std::error::Error + Send + Sync,
                >::from(
                    cause
                ))));
            }
        }
    }
}

/// Whether the schema is the newest one. A schema newer than this program knows is an error.
pub(super) fn is_current(connection: &Connection) -> Result<bool, StoreError> {
    match require_current(connection) {
        Err(StoreError::Unmigrated { .. }) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Refuses any schema but the newest one.
pub(super) fn require_current(connection: &Connection) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as i64;
    match version(connection)? {
        found if found > known => Err(StoreError::NewerSchema { found, known }),
        found if found < known => Err(StoreError::Unmigrated { found, known }),
        _ => Ok(()),
    }
}

/// Writes the current version again. This is the smallest change that reaches the disk and alters
/// nothing.
pub(super) fn write_version(connection: &Connection) -> rusqlite::Result<()> {
    let version = version(connection)?;
    connection.execute_batch(&format!("PRAGMA user_version = {version}"))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let known = migrations.len() as i64;
    // Take the write lock before reading the version, so that two processes do not migrate at once.
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    for (version, migration) in (1_i64..)
        .zip(migrations)
        .skip(usize::try_from(found).unwrap_or(0))
    {
        tx.execute_batch(migration)?;
        tx.execute_batch(&format!(
            "PRAGMA user_version = {version}; PRAGMA application_id = {APPLICATION_ID}"
        ))?;
        tracing::info!(version, "migrated the database");
    }
    Ok(tx.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_millis(200);

    fn version(connection: &Connection) -> i64 {
        super::version(connection).unwrap()
    }

    #[test]
    fn every_migration_file_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let contents: Vec<_> = files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        assert_eq!(contents, MIGRATIONS);
    }

    #[test]
    fn a_failing_migration_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let good = "CREATE TABLE a (x INTEGER) STRICT";
        migrate(&mut connection, &[good]).unwrap();
        assert!(
            migrate(
                &mut connection,
                &[good, "CREATE TABLE b (x INTEGER) STRICT; nonsense"]
            )
            .is_err()
        );
        assert_eq!(version(&connection), 1);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
        migrate(
            &mut connection,
            &[good, "CREATE TABLE b (x INTEGER) STRICT"],
        )
        .unwrap();
        assert_eq!(version(&connection), 2);
    }

    #[test]
    fn the_second_migration_makes_the_team_id_a_uuid_of_version_7() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SAFETY_PRAGMAS).unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        let app = "INSERT INTO apps (id, team_id, name, slug, description, created_at, updated_at)
            SELECT randomblob(16), id, 'a', 'a', '', 1, 1 FROM teams";
        assert_eq!(connection.execute(app, []).unwrap(), 1);
        let before = jiff::Timestamp::now().as_millisecond();
        migrate(&mut connection, &MIGRATIONS[..2]).unwrap();
        let joined = "SELECT team_id FROM apps JOIN teams ON teams.id = apps.team_id";
        let id: [u8; 16] = connection.query_row(joined, [], |row| row.get(0)).unwrap();
        let id = uuid::Uuid::from_bytes(id);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let at = i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).unwrap();
        assert!((before..before + 60_000).contains(&at), "{at} {before}");
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = open_writer(&path, BUSY).unwrap();
        connection
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        let refusal = open_writer(&path, BUSY).unwrap_err();
        assert!(
            matches!(
                refusal,
                StoreError::NewerSchema {
                    found: 99,
                    known: 3
                }
            ),
            "{refusal}"
        );
        assert_eq!(version(&connection), 99);
    }

    #[test]
    fn what_is_no_vault_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        fs::write(
            &text,
            "this is no database, and long enough to hold a header that is not one. ".repeat(20),
        )
        .unwrap();
        assert!(matches!(
            open_writer(&text, BUSY),
            Err(StoreError::NotAVault { .. })
        ));
        let other = folder.path().join("other");
        Connection::open(&other)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap();
        assert!(matches!(
            open_writer(&other, BUSY),
            Err(StoreError::NotAVault { .. })
        ));
        assert!(matches!(
            open_writer(&folder.path().join("no/folder"), BUSY),
            Err(StoreError::Open { .. })
        ));
    }

    #[test]
    fn the_files_are_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        // The mode must be right from the first moment, not only after a correction.
        create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let connection = open_writer(&path, BUSY).unwrap();
        for file in ["db", "db-wal", "db-shm"] {
            let mode = fs::metadata(folder.path().join(file))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        drop(connection);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        drop(open_writer(&path, BUSY).unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
