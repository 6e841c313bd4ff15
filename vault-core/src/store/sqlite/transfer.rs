//! Moving the rows of a SQLite file as they stand, to or from another store.
//!
//! A source is opened beside others or alone, and only read. One connection writes a target in one
//! transaction and is then closed. `store::transfer` decides what is moved and whether it arrived.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{
    Connection, OpenFlags, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};
use tokio::task;

use super::{SqliteFile, chain, schema};
use crate::{
    audit::{AuditDraft, ChainHash, ChainName},
    store::{
        StoreError,
        transfer::{
            Access, BATCH_MAX_BYTES, BATCH_MAX_ROWS, Cell, Column, RawRows, Row, Table, TableCount,
            TransferSource, TransferTarget, names,
        },
    },
};

/// Limits the wait for others who use the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A SQLite database to move from.
pub struct SqliteSource(Opened);

/// A SQLite database to move to. The move creates the file when it begins.
pub struct SqliteTarget(Opened);

impl SqliteSource {
    /// The source at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(Opened::at(path.into()))
    }
}

impl SqliteTarget {
    /// The target at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(Opened::at(path.into()))
    }
}

#[async_trait]
impl TransferSource for SqliteSource {
    async fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        self.0
            .open(move |path| {
                let file = SqliteFile::at(path);
                file.require_current()?;
                file.check()?;
                source(path, access)
            })
            .await
    }

    async fn heads(&mut self) -> Result<Vec<(ChainName, ChainHash)>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl RawRows for SqliteSource {
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError> {
        self.0.work(counts).await
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        self.0.reading = Some((table, None));
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        self.0.next().await
    }
}

#[async_trait]
impl TransferTarget for SqliteTarget {
    async fn look(&mut self) -> Result<Vec<TableCount>, StoreError> {
        let path = self.0.path.clone();
        blocking(move || look(&path)).await
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.0
            .open(|path| {
                let connection = schema::open_writer(path, BUSY_TIMEOUT)?;
                connection.execute_batch("BEGIN IMMEDIATE")?;
                Ok(connection)
            })
            .await
    }

    async fn add(&mut self, table: Table, rows: Vec<Row>) -> Result<(), StoreError> {
        self.0.work(move |tx| add(tx, table, rows)).await
    }

    async fn commit(&mut self, entry: AuditDraft) -> Result<(), StoreError> {
        self.0
            .work(move |tx| {
                chain::append(tx, entry)?;
                Ok(tx.execute_batch("COMMIT")?)
            })
            .await
    }
}

#[async_trait]
impl RawRows for SqliteTarget {
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError> {
        self.0.work(counts).await
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        self.0.reading = Some((table, None));
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        self.0.next().await
    }
}

/// A file and the one connection to it, which holds a transaction. It works on threads that may
/// block. When nobody waits for it any more, connection and transaction end.
struct Opened {
    path: PathBuf,
    connection: Option<Connection>,
    /// The table that is being read, and the last row that was read.
    reading: Option<(Table, Option<Row>)>,
}

impl Opened {
    fn at(path: PathBuf) -> Self {
        Self {
            path,
            connection: None,
            reading: None,
        }
    }

    async fn open(
        &mut self,
        open: impl FnOnce(&Path) -> Result<Connection, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        // Close the previous connection first: there is one at a time.
        self.connection = None;
        let path = self.path.clone();
        self.connection = Some(blocking(move || open(&path)).await?);
        Ok(())
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = self.connection.take().ok_or(StoreError::Closed)?;
        let (connection, outcome) = blocking(move || {
            let outcome = work(&connection);
            Ok((connection, outcome))
        })
        .await?;
        self.connection = Some(connection);
        outcome
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        let Some((table, after)) = self.reading.take() else {
            return Ok(Vec::new());
        };
        let rows = self.work(move |tx| rows(tx, table, after)).await?;
        if let Some(last) = rows.last() {
            self.reading = Some((table, Some(last.key(table))));
        }
        Ok(rows)
    }
}

/// The content of a file, if there is any.
fn look(path: &Path) -> Result<Vec<TableCount>, StoreError> {
    // An empty file counts as none, if the folder for it exists.
    let bytes = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            schema::folder_of(path).metadata().map(|_| 0)
        }
        found => found.map(|found| found.len()),
    };
    let bytes = bytes.map_err(|source| StoreError::Open {
        path: path.into(),
        source: Arc::new(source),
    })?;
    if bytes == 0 {
        return Ok(Vec::new());
    }
    SqliteFile::at(path).is_current()?;
    counts(&schema::connect(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
        BUSY_TIMEOUT,
    )?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Panicked)?
}

fn source(path: &Path, access: Access) -> Result<Connection, StoreError> {
    let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, BUSY_TIMEOUT)?;
    connection.execute_batch(match access {
        Access::Shared => "BEGIN",
        // Set the mode before the file is first looked at. The lock then covers the whole file, and
        // nobody else even reads.
        Access::Alone => "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE",
    })?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

/// The relation that has the columns of a table.
fn relation(table: Table) -> &'static str {
    match table {
        Table::Designations => {
            "(SELECT id AS app_id, vault_id FROM apps WHERE vault_id IS NOT NULL)"
        }
        Table::Audit => {
            "(SELECT place, coalesce(chain, '') AS chain, coalesce(seq, place) AS seq, id, created_at, app_id, actor,
                api_key_id, tool, tool_digest, action, subject_kind, subject_id, session_id, request_id, outcome, detail,
                secret_version, payload_digest, prev_hash, hash FROM audit)"
        }
        table => table.name(),
    }
}

/// The query for the next rows, after a key if there is one.
fn select(table: Table, after_key: bool) -> String {
    let (columns, key) = (names(table.columns()), names(table.key()));
    let place = match after_key {
        true => format!("WHERE ({key}) > ({})", parameters(table.key())),
        false => String::new(),
    };
    format!(
        "SELECT {columns} FROM {} {place} ORDER BY {key} LIMIT {BATCH_MAX_ROWS}",
        relation(table)
    )
}

fn parameters(columns: &[Column]) -> String {
    let parameters: Vec<_> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    parameters.join(", ")
}

fn counts(tx: &Connection) -> Result<Vec<TableCount>, StoreError> {
    let count = |table: Table| {
        let sql = match table {
            Table::Designations => {
                "SELECT count(*) FROM apps WHERE vault_id IS NOT NULL".to_owned()
            }
            table => format!("SELECT count(*) FROM {}", table.name()),
        };
        let rows = tx.query_row(&sql, [], |row| row.get(0))?;
        Ok(TableCount { table, rows })
    };
    Table::ALL.into_iter().map(count).collect()
}

fn rows(tx: &Connection, table: Table, after: Option<Row>) -> Result<Vec<Row>, StoreError> {
    let sql = select(table, after.is_some());
    let after = after.map_or_else(Vec::new, |row| row.0);
    let mut statement = tx.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(&after))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_MAX_BYTES
        && let Some(row) = found.next()?
    {
        let cells = (0..table.columns().len()).map(|column| Ok(cell(row.get_ref(column)?)));
        let row =
            Row(cells
                .collect::<rusqlite::Result<Option<_>>>()?
                .ok_or(StoreError::Damaged {
                    what: "a row that is to be moved",
                })?);
        bytes += row.size_bytes();
        rows.push(row);
    }
    Ok(rows)
}

/// The tables are strict, so their columns hold no other type.
fn cell(value: ValueRef<'_>) -> Option<Cell> {
    match value {
        ValueRef::Null => Some(Cell::Null),
        ValueRef::Integer(value) => Some(Cell::Integer(value)),
        ValueRef::Real(_) => None,
        ValueRef::Text(text) => Some(Cell::Text(text.to_vec())),
        ValueRef::Blob(bytes) => Some(Cell::Bytes(bytes.to_vec())),
    }
}

impl rusqlite::ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text)),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn add(tx: &Connection, table: Table, rows: Vec<Row>) -> Result<(), StoreError> {
    let sql = match table {
        // The new database still has its own team.
        Table::Teams => {
            tx.execute("DELETE FROM teams", [])?;
            insert(table)
        }
        Table::Designations => "UPDATE apps SET vault_id = ?2 WHERE id = ?1".to_owned(),
        // The file's own chain has no name here, and stores the place in the chain only where it
        // differs from the place.
        Table::Audit => {
            insert(table).replacen("?1, ?2, ?3", "?1, nullif(?2, ''), nullif(?3, ?1)", 1)
        }
        table => insert(table),
    };
    let mut statement = tx.prepare_cached(&sql)?;
    for row in rows {
        statement.execute(params_from_iter(&row.0))?;
    }
    Ok(())
}

fn insert(table: Table) -> String {
    let columns = table.columns();
    format!(
        "INSERT INTO {} ({}) VALUES ({})",
        table.name(),
        names(columns),
        parameters(columns)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch must cost no more than its own rows, however large the database is.
    #[test]
    fn every_batch_walks_an_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let connection = schema::open_writer(&folder.path().join("db"), BUSY_TIMEOUT).unwrap();
        for table in Table::ALL {
            for after_key in [false, true] {
                let sql = select(table, after_key);
                let plan = format!("EXPLAIN QUERY PLAN {sql}");
                let mut plan = connection.prepare(&plan).unwrap();
                let key = vec![1; if after_key { table.key().len() } else { 0 }];
                let steps = plan.query_map(params_from_iter(key), |row| row.get(3));
                let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
                assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
                let starts = if after_key { "SEARCH " } else { "SCAN " };
                assert!(steps[0].starts_with(starts), "{sql}: {steps:?}");
            }
        }
    }
}
