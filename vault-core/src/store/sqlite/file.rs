//! A SQLite database as a file: copied while others work on it, checked, and put in the place of
//! another.
//!
//! A [`SqliteStore`](super::SqliteStore) tells what its rows hold and whether the available keys
//! open them. Everything here blocks.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags,
    types::{ToSqlOutput, ValueRef},
};

use super::schema;
use crate::store::StoreError;

/// Limits the wait for others who use the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A database in a file. Nothing is opened before a method is called, and nothing stays open
/// afterwards.
#[derive(Debug, Clone)]
pub struct SqliteFile {
    path: PathBuf,
}

impl SqliteFile {
    /// The database at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the schema is the one that this program writes. Opening a store would migrate an
    /// older one.
    ///
    /// # Errors
    /// The file is no vault database, or a newer program's.
    pub fn is_current(&self) -> Result<bool, StoreError> {
        let connection = self.reader()?;
        schema::require_vault(&connection, &self.path)?;
        schema::is_current(&connection)
    }

    /// Refuses the schemas of older and of newer programs.
    ///
    /// # Errors
    /// The schema is another than this program writes, or the file is no vault database.
    pub(super) fn require_current(&self) -> Result<(), StoreError> {
        let connection = self.reader()?;
        schema::require_vault(&connection, &self.path)?;
        schema::require_current(&connection)
    }

    /// The approximate size of a copy in bytes.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn content_bytes(&self) -> Result<u64, StoreError> {
        let sql = "SELECT (page_count - freelist_count) * page_size
            FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        Ok(self.reader()?.query_row(sql, [], |row| row.get(0))?)
    }

    /// Copies the database into `copy`, an empty or new file. The copy shows one moment, whoever
    /// writes meanwhile. Rows are written anew, so that nothing deleted comes along. When this
    /// returns, the copy is on the disk, in one file that only its owner can read.
    ///
    /// # Errors
    /// The database cannot be read, or the copy cannot be written.
    pub fn copy_to(&self, copy: &Path) -> Result<Self, StoreError> {
        make_empty(copy).map_err(cannot_open(copy))?;
        let connection = self.reader()?;
        schema::require_vault(&connection, &self.path)?;
        connection.execute("VACUUM INTO ?", [TextOfPath(copy)])?;
        // SQLite does not sync the copy itself.
        sync(copy).map_err(cannot_open(copy))?;
        Ok(Self::at(copy))
    }

    /// Reads the whole database and checks that it is sound.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], or the database cannot be read.
    pub fn check(&self) -> Result<(), StoreError> {
        let connection = self.reader()?;
        schema::require_vault(&connection, &self.path)?;
        let found: String =
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found == "ok" {
            return Ok(());
        }
        // The log names the place of the damage, and nothing of the content.
        tracing::error!(path = %self.path.display(), found, "the database is corrupt");
        Err(StoreError::Corrupt)
    }

    /// Takes the write-ahead log into the database and syncs it, so that one file can be moved.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when anybody has the database open.
    pub fn fold(&self) -> Result<(), StoreError> {
        drop(self.alone()?);
        sync(&self.path).map_err(cannot_open(&self.path))
    }

    /// Moves the database to `database`, where none exists. It arrives whole or not at all.
    ///
    /// # Errors
    /// There is a database at the target, or what is left of one.
    pub fn move_to(&self, database: &Path) -> Result<(), StoreError> {
        for suffix in ["-wal", "-journal"] {
            let log = schema::companion(database, suffix);
            if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
                return Err(StoreError::LogWithoutDatabase { path: log });
            }
        }
        let moved = fs::hard_link(&self.path, database).and_then(|()| fs::remove_file(&self.path));
        moved
            .and_then(|()| sync_folder_of(database))
            .map_err(cannot_open(database))
    }

    /// Puts this database in the place of `database`, which stays beside it as `kept`. At any
    /// moment one of the two is whole at that place. A process that opens it just then gets one or
    /// the other, never a mixture.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when anybody has `database` open. That process would continue with a
    /// file under another name.
    pub fn replace(&self, database: &Path, kept: &Path) -> Result<(), StoreError> {
        let old = Self::at(database);
        let connection = old.alone()?;
        let replaced = sync(database)
            .and_then(|()| fs::hard_link(database, kept))
            .and_then(|()| fs::rename(&self.path, database))
            .and_then(|()| sync_folder_of(database));
        // A process that waited for the lock sees that the file was moved, and opens the new one.
        drop(connection);
        replaced.map_err(cannot_open(database))
    }

    /// Opens the database only to read, without a migration.
    fn reader(&self) -> Result<Connection, StoreError> {
        schema::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY, BUSY_TIMEOUT)
    }

    /// Opens the database with its log taken in and removed. Others are kept out as long as the
    /// connection lives.
    fn alone(&self) -> Result<Connection, StoreError> {
        let connection =
            schema::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE, BUSY_TIMEOUT)?;
        schema::require_vault(&connection, &self.path)?;
        // Set the mode before the journal is switched: from here on the connection keeps every lock
        // until it closes.
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        if mode != "delete" {
            return Err(StoreError::Busy);
        }
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(connection)
    }
}

/// A path as SQLite takes it: its bytes, whatever they are.
struct TextOfPath<'a>(&'a Path);

impl rusqlite::ToSql for TextOfPath<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.as_os_str().as_encoded_bytes();
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(bytes)))
    }
}

fn cannot_open(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Open {
            path: path.into(),
            source: Arc::new(source),
        },
    }
}

/// Creates an empty file for its owner alone. SQLite refuses a file that is not empty.
fn make_empty(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map(drop)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync(schema::folder_of(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn database(folder: &Path, name: &str, team: u8) -> SqliteFile {
        let path = folder.join(name);
        let connection = schema::open_writer(&path, BUSY_TIMEOUT).unwrap();
        let changed = connection.execute("UPDATE teams SET id = ?", [[team; 16]]);
        assert_eq!(changed.unwrap(), 1);
        SqliteFile::at(path)
    }

    fn team(path: &Path) -> u8 {
        let connection = schema::open_reader(path, BUSY_TIMEOUT).unwrap();
        let id: [u8; 16] = connection
            .query_row("SELECT id FROM teams", [], |row| row.get(0))
            .unwrap();
        id[0]
    }

    #[test]
    fn a_copy_is_private_sound_and_without_companions() {
        let folder = tempfile::tempdir().unwrap();
        let original = database(folder.path(), "db", 7);
        let copies = folder.path().join("copies");
        fs::create_dir(&copies).unwrap();
        let copy = original.copy_to(&copies.join("it's a copy")).unwrap();
        copy.check().unwrap();
        assert!(copy.is_current().unwrap());
        let mode = fs::metadata(copy.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&copies).unwrap().count(), 1);
        assert_eq!(team(copy.path()), 7);
        // An existing file is not overwritten.
        fs::write(copies.join("taken"), "taken").unwrap();
        assert!(original.copy_to(&copies.join("taken")).is_err());
        assert_eq!(fs::read(copies.join("taken")).unwrap(), b"taken");
    }

    #[test]
    fn a_broken_page_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path(), "db", 7);
        database.fold().unwrap();
        database.check().unwrap();
        let mut bytes = fs::read(database.path()).unwrap();
        let page = 4096 * 3;
        bytes[page..page + 200].fill(0xff);
        fs::write(database.path(), bytes).unwrap();
        assert!(matches!(database.check(), Err(StoreError::Corrupt)));
    }

    #[test]
    fn what_someone_has_open_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (
            database(folder.path(), "old", 1),
            database(folder.path(), "new", 2),
        );
        new.fold().unwrap();
        let kept = folder.path().join("kept");
        let open = schema::open_reader(old.path(), BUSY_TIMEOUT).unwrap();
        let teams = "SELECT count(*) FROM teams";
        let count = |open: &Connection| open.query_row(teams, [], |row| row.get::<_, i64>(0));
        assert_eq!(count(&open).unwrap(), 1);
        assert!(matches!(
            new.replace(old.path(), &kept),
            Err(StoreError::Busy)
        ));
        assert_eq!(team(old.path()), 1);
        assert!(!kept.exists());
        drop(open);
        new.replace(old.path(), &kept).unwrap();
        assert_eq!((team(old.path()), team(&kept)), (2, 1));
        assert!(!new.path().exists());
    }

    /// A process that waits for the lock while a database is replaced must not continue with the
    /// old one.
    #[test]
    fn who_comes_while_it_is_replaced_gets_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (
            database(folder.path(), "old", 1),
            database(folder.path(), "new", 2),
        );
        new.fold().unwrap();
        let alone = old.alone().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let connection = schema::open_writer(old.path(), BUSY_TIMEOUT).unwrap();
                let sql = "UPDATE teams SET id = ?";
                connection.execute(sql, [[9_u8; 16]]).unwrap();
            });
            std::thread::sleep(Duration::from_millis(300));
            assert!(!waiting.is_finished(), "the writer did not wait");
            let kept = folder.path().join("kept");
            fs::hard_link(old.path(), &kept).unwrap();
            fs::rename(new.path(), old.path()).unwrap();
            drop(alone);
            waiting.join().unwrap();
            assert_eq!((team(old.path()), team(&kept)), (9, 1));
        });
    }

    #[test]
    fn a_log_that_was_left_behind_is_not_taken_for_the_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let new = database(folder.path(), "new", 2);
        new.fold().unwrap();
        let place = folder.path().join("db");
        fs::write(folder.path().join("db-wal"), "frames").unwrap();
        assert!(matches!(
            new.move_to(&place),
            Err(StoreError::LogWithoutDatabase { .. })
        ));
        fs::remove_file(folder.path().join("db-wal")).unwrap();
        new.move_to(&place).unwrap();
        assert_eq!(team(&place), 2);
        let another = database(folder.path(), "another", 3);
        another.fold().unwrap();
        assert!(another.move_to(&place).is_err(), "a database is there");
        assert_eq!(team(&place), 2);
    }
}
