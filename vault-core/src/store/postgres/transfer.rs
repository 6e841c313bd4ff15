//! Moving the rows of a PostgreSQL database as they stand, to or from another store.
//!
//! Each side is one connection with one transaction, which ends with the connection. Cursors read
//! the tables, sorted bytewise whatever the database's collation. `store::transfer` decides what is
//! moved and whether it arrived.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Row as Found, types::ToSql};

use super::{
    PostgresOptions, PostgresUrl,
    ask::{Ask, Param},
    chain::{self, Entries},
    columns::{column, count},
    connections::{Connection, Connections},
    group, schema,
};
use crate::{
    audit::{AuditDraft, ChainHash, ChainName},
    store::{
        StoreError,
        transfer::{
            Access, Cell, Kind, RawRows, Row, Table, TableCount, TransferSource, TransferTarget,
            names,
        },
    },
};

/// The number of rows in one fetch. Rows can be large, and the sizes of the next ones are unknown.
const FETCH_ROWS: u32 = 100;

/// Limits the wait for hosts that are just ending.
const ENDING: Duration = Duration::from_secs(5);

/// The interval between looks for such hosts.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The tables that changes write to. While they are locked, nobody changes anything.
const TABLES: &str = "teams, apps, api_keys, vaults, keks, kek_wraps, secrets, chains, audit";

/// A PostgreSQL database to move from.
pub struct PostgresSource(Opened);

/// A PostgreSQL database to move to. The move creates its tables when it begins.
pub struct PostgresTarget {
    opened: Opened,
    options: PostgresOptions,
}

impl PostgresSource {
    /// The source at this URL. `tls` is used where the URL demands TLS.
    ///
    /// # Errors
    /// The options make no pool.
    pub fn at(
        url: &PostgresUrl,
        tls: Arc<rustls::ClientConfig>,
        options: &PostgresOptions,
    ) -> Result<Self, StoreError> {
        Opened::at(url, &tls, options).map(Self)
    }
}

impl PostgresTarget {
    /// The target at this URL. The entry about the move goes into the chain of the options' host.
    ///
    /// # Errors
    /// The options make no pool.
    pub fn at(
        url: &PostgresUrl,
        tls: Arc<rustls::ClientConfig>,
        options: PostgresOptions,
    ) -> Result<Self, StoreError> {
        let opened = Opened::at(url, &tls, &options)?;
        Ok(Self { opened, options })
    }
}

#[async_trait]
impl TransferSource for PostgresSource {
    async fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        let connection = self.0.connect().await?;
        schema::require_current(&connection).await?;
        connection
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        if access == Access::Alone {
            // Lock before the first query, because that query takes the snapshot.
            let lock = format!("LOCK TABLE {TABLES} IN SHARE MODE");
            connection.batch_execute(&lock).await?;
            require_nobody_else(&connection).await?;
        }
        self.0.connection = Some(connection);
        Ok(())
    }

    async fn heads(&mut self) -> Result<Vec<(ChainName, ChainHash)>, StoreError> {
        let heads = self
            .0
            .opened()?
            .rows("SELECT name, hash FROM chains WHERE seq > 0", &[]);
        // An unreadable head cannot be compared with any entry.
        let head = |row: &Found| {
            let name = ChainName::from_stored(column(row, 0).ok()?).ok()?;
            Some((
                name,
                ChainHash::try_from(column::<&[u8]>(row, 1).ok()?).ok()?,
            ))
        };
        Ok(heads.await?.iter().filter_map(head).collect())
    }
}

#[async_trait]
impl RawRows for PostgresSource {
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError> {
        counts(self.0.opened()?).await
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        self.0.read(table).await
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        self.0.next().await
    }
}

#[async_trait]
impl TransferTarget for PostgresTarget {
    async fn look(&mut self) -> Result<Vec<TableCount>, StoreError> {
        let connection = self.opened.connect().await?;
        match schema::require_current(&connection).await {
            Err(StoreError::Unmigrated { found: 0, .. }) => Ok(Vec::new()),
            Ok(()) | Err(StoreError::Unmigrated { .. }) => counts(&connection).await,
            Err(error) => Err(error),
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        // Use another connection: migrating leaves locks on its own.
        schema::migrate(&mut *self.opened.connect().await?).await?;
        let connection = self.opened.connect().await?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; LOCK TABLE {TABLES} IN EXCLUSIVE MODE"
        );
        connection.batch_execute(&begin).await?;
        self.opened.connection = Some(connection);
        Ok(())
    }

    async fn add(&mut self, table: Table, rows: Vec<Row>) -> Result<(), StoreError> {
        let connection = self.opened.opened()?;
        if table == Table::Teams {
            // The new database still has its own team.
            connection.change("DELETE FROM teams", &[]).await?;
        }
        let columns = (0..table.columns().len()).map(|index| values(table, &rows, index));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let params: Vec<Param<'_>> = columns.iter().map(|column| &**column as _).collect();
        connection.change(&insert(table), &params).await?;
        Ok(())
    }

    async fn commit(&mut self, entry: AuditDraft) -> Result<(), StoreError> {
        let connection = self.opened.opened()?;
        connection.batch_execute(GO_ON).await?;
        let chain = &self.options.host;
        chain::begin(connection, chain).await?;
        let damaged = StoreError::Damaged {
            what: "the head of the audit",
        };
        let head = connection.row(group::HEAD, &[&chain.as_str()]).await?;
        let head = head.ok_or(damaged.clone())?;
        let hash = ChainHash::try_from(column::<&[u8]>(&head, 1)?).map_err(|_| damaged)?;
        let mut entries = Entries::after(column(&head, 0)?, hash);
        entries.append(chain, entry)?;
        connection
            .change(Entries::INSERT, &entries.columns(chain).params())
            .await?;
        if let Some((seq, hash)) = entries.last() {
            let hash = hash.as_bytes().as_slice();
            let advanced: [Param<'_>; 3] = [&chain.as_str(), &seq, &hash];
            connection.change(group::ADVANCE, &advanced).await?;
        }
        Ok(connection.batch_execute("COMMIT").await?)
    }
}

#[async_trait]
impl RawRows for PostgresTarget {
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError> {
        counts(self.opened.opened()?).await
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        self.opened.read(table).await
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        self.opened.next().await
    }
}

/// Prepares the target for further use. Places follow the last one that was moved, chains follow
/// their last entries, and statistics fit the number of rows.
const GO_ON: &str = "SELECT setval(pg_get_serial_sequence('audit', 'place'), max(place)) FROM audit HAVING max(place) > 0;
    INSERT INTO chains (name, seq, hash)
        SELECT DISTINCT ON (chain) chain, seq, hash FROM audit ORDER BY chain, place DESC
        ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, hash = excluded.hash;
    ANALYZE apps, api_keys, vaults, keks, kek_wraps, secrets, audit";

/// A database and the one connection to it, which holds a transaction.
struct Opened {
    connections: Connections,
    connection: Option<Connection>,
    /// The table that is being read.
    reading: Option<Table>,
}

impl Opened {
    fn at(
        url: &PostgresUrl,
        tls: &Arc<rustls::ClientConfig>,
        options: &PostgresOptions,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            connections: Connections::new(url, tls, 1, options)?,
            connection: None,
            reading: None,
        })
    }

    /// A connection without a limit for statements: the work grows with the number of rows.
    async fn connect(&mut self) -> Result<Connection, StoreError> {
        // Close the previous connection first: the pool holds only one.
        self.connection = None;
        let connection = self.connections.one().await?;
        connection
            .batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            .await?;
        Ok(connection)
    }

    fn opened(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or(StoreError::Closed)
    }

    async fn read(&mut self, table: Table) -> Result<(), StoreError> {
        let declare = format!(
            "DECLARE {} NO SCROLL CURSOR FOR {}",
            cursor(table),
            select(table)
        );
        self.opened()?.batch_execute(&declare).await?;
        self.reading = Some(table);
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        let Some(table) = self.reading else {
            return Ok(Vec::new());
        };
        let connection = self.opened()?;
        let fetch = format!("FETCH FORWARD {FETCH_ROWS} FROM {}", cursor(table));
        let found = connection.rows(&fetch, &[]).await?;
        if found.is_empty() {
            let close = format!("CLOSE {}", cursor(table));
            connection.batch_execute(&close).await?;
            self.reading = None;
        }
        found.iter().map(|found| row(table, found)).collect()
    }
}

/// Waits a while for other hosts to go. Connections of people who only look have other names.
async fn require_nobody_else(connection: &Connection) -> Result<(), StoreError> {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND application_name = current_setting('application_name')";
    let deadline = Instant::now() + ENDING;
    // Inside a transaction the view keeps its first answer until the snapshot is cleared.
    let forget = "SELECT pg_stat_clear_snapshot()";
    loop {
        let found = connection.row(others, &[]).await?;
        if found.map_or(Ok(0), |found| count(&found, 0))? == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(StoreError::Busy);
        }
        sleep(LOOK_INTERVAL).await;
        connection.row(forget, &[]).await?;
    }
}

async fn counts(connection: &Connection) -> Result<Vec<TableCount>, StoreError> {
    let mut counts = Vec::new();
    for table in Table::ALL {
        let sql = format!("SELECT count(*) FROM {} AS moved", relation(table));
        let found = connection.row(&sql, &[]).await?;
        let rows = found.map_or(Ok(0), |found| count(&found, 0))?;
        counts.push(TableCount { table, rows });
    }
    Ok(counts)
}

/// The relation that has the columns of a table.
fn relation(table: Table) -> &'static str {
    match table {
        Table::Designations => {
            "(SELECT id AS app_id, vault_id FROM apps WHERE vault_id IS NOT NULL)"
        }
        Table::Keks => {
            "(SELECT id, canary, created_at, coalesce((SELECT sum(wraps) FROM kek_wraps WHERE kek_id = id), 0)::bigint
                AS wraps FROM keks)"
        }
        table => table.name(),
    }
}

fn select(table: Table) -> String {
    let key = table.key().iter().map(|column| match column.kind {
        Kind::Text => format!(r#"{} COLLATE "C""#, column.name),
        Kind::Integer | Kind::Bytes => column.name.to_owned(),
    });
    format!(
        "SELECT {} FROM {} AS moved ORDER BY {}",
        names(table.columns()),
        relation(table),
        key.collect::<Vec<_>>().join(", ")
    )
}

/// The name of a table's cursor. Statements are prepared with the columns that they return, so each
/// table needs its own cursor.
fn cursor(table: Table) -> String {
    format!("moving_{}", table.name())
}

fn row(table: Table, found: &Found) -> Result<Row, StoreError> {
    let cell = |(index, kind)| {
        let cell = match kind {
            Kind::Integer => column::<Option<i64>>(found, index)?.map(Cell::Integer),
            Kind::Text => column::<Option<&str>>(found, index)?.map(|text| Cell::Text(text.into())),
            Kind::Bytes => {
                column::<Option<&[u8]>>(found, index)?.map(|bytes| Cell::Bytes(bytes.into()))
            }
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    let kinds = table.columns().iter().map(|column| column.kind);
    kinds
        .enumerate()
        .map(cell)
        .collect::<Result<_, _>>()
        .map(Row)
}

/// The statement that takes the columns of a table, each as an array.
fn insert(table: Table) -> String {
    let columns = table.columns();
    let arrays = (1..).zip(columns).map(|(number, column)| {
        let element = match column.kind {
            Kind::Integer => "bigint",
            Kind::Text => "text",
            Kind::Bytes => "bytea",
        };
        format!("${number}::{element}[]")
    });
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    let (names, moved) = (names(columns), format!("unnest({arrays}) AS moved"));
    match table {
        Table::Designations => format!(
            "UPDATE apps SET vault_id = moved.vault_id FROM {moved} ({names}) WHERE id = moved.app_id"
        ),
        // The empty host name stands for wraps that no host of this database has counted.
        Table::Keks => format!(
            "WITH moved ({names}) AS (SELECT * FROM {moved}),
            known AS (INSERT INTO keks (id, canary, created_at) SELECT id, canary, created_at FROM moved)
            INSERT INTO kek_wraps (kek_id, host, wraps) SELECT id, '', wraps FROM moved"
        ),
        table => format!("INSERT INTO {} ({names}) SELECT * FROM {moved}", table.name()),
    }
}

/// One column of all rows, as an array.
fn values<'a>(
    table: Table,
    rows: &'a [Row],
    index: usize,
) -> Result<Box<dyn ToSql + Sync + Send + 'a>, StoreError> {
    let cells = rows.iter().map(move |row| (row, &row.0[index]));
    let unfit = |row: &Row| StoreError::Unkeepable {
        row: row.describe(table),
        column: table.columns()[index].name,
    };
    Ok(match table.columns()[index].kind {
        Kind::Integer => {
            let cells = cells.map(|(row, cell)| match cell {
                Cell::Null => Ok(None),
                Cell::Integer(number) => Ok(Some(*number)),
                Cell::Text(_) | Cell::Bytes(_) => Err(unfit(row)),
            });
            Box::new(cells.collect::<Result<Vec<_>, _>>()?)
        }
        Kind::Text => {
            let cells = cells.map(|(row, cell)| match cell {
                Cell::Null => Ok(None),
                // PostgreSQL stores any text but one with a zero character.
                Cell::Text(text) if !text.contains(&0) => {
                    str::from_utf8(text).map(Some).map_err(|_| unfit(row))
                }
                Cell::Text(_) | Cell::Integer(_) | Cell::Bytes(_) => Err(unfit(row)),
            });
            Box::new(cells.collect::<Result<Vec<_>, _>>()?)
        }
        Kind::Bytes => {
            let cells = cells.map(|(row, cell)| match cell {
                Cell::Null => Ok(None),
                Cell::Bytes(bytes) => Ok(Some(bytes.as_slice())),
                Cell::Integer(_) | Cell::Text(_) => Err(unfit(row)),
            });
            Box::new(cells.collect::<Result<Vec<_>, _>>()?)
        }
    })
}
