//! Moving all content of a store into another one: what both must provide, and the move itself.
//!
//! Rows are moved as they stand in columns and are not parsed, so that odd rows arrive unchanged.
//! The target takes all rows in one transaction. Before the commit it shows them once more, and
//! commits only if they are the same. The source is only read, and kept from changing until then.
//! `row` defines the rows; each store defines how to read and write them.

mod check;
mod row;

use std::{fmt, ops::ControlFlow};

use async_trait::async_trait;
use serde::Serialize;

use self::row::Tally;
pub use self::row::{Cell, Column, Kind, Row, Table, TableDigest, names};
use super::StoreError;
use crate::audit::{AuditDraft, ChainHash, ChainName, Verifier, VerifyReport};

/// The largest number of rows in a batch.
pub const BATCH_MAX_ROWS: u32 = 500;

/// The number of bytes after which no further row is added to a batch.
pub const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source failed.
    #[error("the source cannot be moved, and nothing was changed")]
    Source(#[source] StoreError),
    /// Another process works on the source, and whatever it writes after the move would be lost.
    #[error(
        "the source is open in another process, and nothing was moved; stop every host on it, then move again"
    )]
    SourceInUse,
    /// The target failed.
    #[error("the target does not take the data, and nothing was moved")]
    Target(#[source] StoreError),
    /// The target refuses a row.
    #[error(
        "the target does not take what the source has in the table {table}, and nothing was moved"
    )]
    Refused {
        /// The table of the row.
        table: Table,
        /// The target's error.
        source: StoreError,
    },
    /// The target is not empty.
    #[error("the target is not empty: it holds {}; choose an empty one", Listed(.holds))]
    TargetNotEmpty {
        /// The content of the target, by table.
        holds: Vec<TableCount>,
    },
    /// Read back, a table of the target differs from the source's.
    #[error(
        "the target does not hold in the table {table} what the source has, and nothing was moved; report it with the log"
    )]
    Differs {
        /// The table that differs.
        table: Table,
    },
    /// The observer of the progress asked to stop.
    #[error("stopped, and nothing was moved")]
    Stopped,
}

/// The number of rows in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TableCount {
    /// The table.
    pub table: Table,
    /// The number of the table's rows.
    pub rows: u64,
}

/// The way in which a source is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Others may work on the source.
    Shared,
    /// Nobody else writes to the source until it is released.
    Alone,
}

/// The result of a move.
#[derive(Debug, Clone, Serialize)]
pub struct Transferred {
    /// The digests of the tables, which both sides share.
    pub tables: Vec<TableDigest>,
    /// The report of the audit's check, made in the target before anything else was written there.
    pub audit: VerifyReport,
}

/// The progress of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferProgress {
    /// The current phase.
    pub phase: TransferPhase,
    /// The number of rows that are done in this phase.
    pub done: u64,
    /// The number of all rows.
    pub total: u64,
}

/// The phases of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferPhase {
    /// Rows go from the source to the target.
    Moving,
    /// The content of the target is read back.
    Checking,
}

/// Reads rows in an order that is the same in every store.
#[async_trait]
pub trait RawRows: Send {
    /// The number of rows in each of [`Table::ALL`].
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError>;
    /// Goes to the first row of a table. Rows are sorted bytewise by [`Table::key`].
    async fn read(&mut self, table: Table) -> Result<(), StoreError>;
    /// The next rows of that table, at most [`BATCH_MAX_ROWS`]. No row is added after
    /// [`BATCH_MAX_BYTES`]. Empty at the end of the table.
    async fn next(&mut self) -> Result<Vec<Row>, StoreError>;
}

/// A store to move from. Nothing is written to it.
#[async_trait]
pub trait TransferSource: RawRows {
    /// Opens the source. Everything that is read from then on is of one moment.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the access is to be [`Access::Alone`] and others use the source.
    /// [`StoreError::Unmigrated`] where no current program ever worked.
    async fn begin(&mut self, access: Access) -> Result<(), StoreError>;
    /// The heads of audit chains that the source keeps apart from the entries. They are not moved.
    async fn heads(&mut self) -> Result<Vec<(ChainName, ChainHash)>, StoreError>;
}

/// A store to move to. Dropped before the commit, it stays as it was.
#[async_trait]
pub trait TransferTarget: RawRows {
    /// Counts the rows of the target, even while others work on it. Changes nothing, and creates
    /// nothing where nothing exists yet.
    async fn look(&mut self) -> Result<Vec<TableCount>, StoreError>;
    /// Opens the target, creates missing tables, and begins the transaction. Nobody else writes to
    /// it from then on.
    async fn begin(&mut self) -> Result<(), StoreError>;
    /// Adds rows, in the order of [`Table::ALL`] and of the source.
    async fn add(&mut self, table: Table, rows: Vec<Row>) -> Result<(), StoreError>;
    /// Records the move in the target's own audit chain, after the moved entries, and commits.
    async fn commit(&mut self, entry: AuditDraft) -> Result<(), StoreError>;
}

/// Counts the rows that a move would take. The target must be empty. Changes nothing.
///
/// # Errors
/// The move is impossible.
pub async fn survey(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
) -> Result<Vec<TableCount>, TransferError> {
    source
        .begin(Access::Shared)
        .await
        .map_err(TransferError::Source)?;
    let found = source.counts().await.map_err(TransferError::Source)?;
    require_empty(&target.look().await.map_err(TransferError::Target)?)?;
    Ok(found)
}

/// Moves everything. `entry` makes the audit entry from what was moved.
///
/// # Errors
/// Nothing was moved, and the target is as it was. If the connection to the target is lost during
/// the commit, only the target can tell whether the move was done.
pub async fn transfer(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
    entry: impl FnOnce(&Transferred) -> AuditDraft + Send,
    mut watch: impl FnMut(&TransferProgress) -> ControlFlow<()> + Send,
) -> Result<Transferred, TransferError> {
    source
        .begin(Access::Alone)
        .await
        .map_err(|error| match error {
            StoreError::Busy => TransferError::SourceInUse,
            error => TransferError::Source(error),
        })?;
    let found = source.counts().await.map_err(TransferError::Source)?;
    let total = found.iter().map(|count| count.rows).sum();
    target.begin().await.map_err(TransferError::Target)?;
    require_empty(&target.counts().await.map_err(TransferError::Target)?)?;

    let mut progress = |phase, done| match watch(&TransferProgress { phase, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TransferError::Stopped),
    };
    let (mut moved, mut done) = (Vec::new(), 0);
    for TableCount { table, rows } in found {
        let mut tally = Tally::of(table);
        source.read(table).await.map_err(TransferError::Source)?;
        loop {
            let rows = source.next().await.map_err(TransferError::Source)?;
            if rows.is_empty() {
                break;
            }
            done += rows.len() as u64;
            rows.iter().for_each(|row| tally.add(row));
            let refused = |source| TransferError::Refused { table, source };
            target.add(table, rows).await.map_err(refused)?;
            progress(TransferPhase::Moving, done)?;
        }
        let digest = tally.finish();
        // Rows that the reading skipped would be missing in the target as well.
        if digest.rows != rows {
            return Err(TransferError::Differs { table });
        }
        moved.push(digest);
    }
    let mut verifier = Verifier::new(Vec::new());
    done = 0;
    for given in &moved {
        let mut tally = Tally::of(given.table);
        let table = target.read(given.table).await;
        table.map_err(TransferError::Target)?;
        loop {
            let rows = target.next().await.map_err(TransferError::Target)?;
            if rows.is_empty() {
                break;
            }
            done += rows.len() as u64;
            for row in rows {
                tally.add(&row);
                check::show(&mut verifier, given.table, row);
            }
            progress(TransferPhase::Checking, done)?;
        }
        if tally.finish() != *given {
            return Err(TransferError::Differs { table: given.table });
        }
    }
    let heads = source.heads().await.map_err(TransferError::Source)?;
    if !heads.is_empty() {
        verifier.all_heads_are_kept();
    }
    for (chain, head) in heads {
        verifier.chain_head(&chain, head);
    }
    let moved = Transferred {
        tables: moved,
        audit: verifier.finish(),
    };
    let entry = entry(&moved);
    target.commit(entry).await.map_err(TransferError::Target)?;
    Ok(moved)
}

/// Refuses a target with content. A new store already has the row of its team, which does not
/// count.
fn require_empty(counts: &[TableCount]) -> Result<(), TransferError> {
    let holds: Vec<_> = counts
        .iter()
        .filter(|count| count.rows > 0 && count.table != Table::Teams)
        .copied()
        .collect();
    match holds.is_empty() {
        true => Ok(()),
        false => Err(TransferError::TargetNotEmpty { holds }),
    }
}

struct Listed<'a>(&'a [TableCount]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, count) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", count.rows, count.table.noun(count.rows))?;
        }
        Ok(())
    }
}
