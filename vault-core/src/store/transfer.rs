//! Moving all that a store holds into another one: what both must do for it, and the move itself.
//!
//! Rows are moved as they stand in columns and are not parsed, so that what is odd arrives as odd as it was. The target
//! takes all of them in one transaction, shows them once more before it commits, and commits if they are the same. The
//! source is only read, and kept from changing until then. Which rows there are is in `row`; how to read and write them
//! is each store's.

mod check;
mod row;

use std::{fmt, ops::ControlFlow};

use async_trait::async_trait;
use serde::Serialize;

use self::row::Tally;
pub(in crate::store) use self::row::names;
pub use self::row::{Cell, Column, Kind, Row, Table, TableDigest};
use super::StoreError;
use crate::audit::{AuditDraft, ChainHash, ChainName, Verifier, VerifyReport};

/// How many rows a batch has at the most.
pub const BATCH_MAX_ROWS: u32 = 500;

/// After how many bytes no further row is added to a batch.
pub const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source does not work.
    #[error("the source cannot be moved, and nothing was changed")]
    Source(#[source] StoreError),
    /// Somebody else works on the source, and what is written there after the move would be lost.
    #[error(
        "the source is open in another process, and nothing was moved; stop every host on it, then move again"
    )]
    SourceInUse,
    /// The target does not work.
    #[error("the target does not take the data, and nothing was moved")]
    Target(#[source] StoreError),
    /// The target does not take a row.
    #[error(
        "the target does not take what the source has in the table {table}, and nothing was moved"
    )]
    Refused {
        /// Of which table.
        table: Table,
        /// What it said.
        source: StoreError,
    },
    /// There is something in the target.
    #[error("the target is not empty: it holds {}; choose an empty one", Listed(.holds))]
    TargetNotEmpty {
        /// What there is.
        holds: Vec<TableCount>,
    },
    /// The target shows something else than what the source has.
    #[error(
        "the target does not hold in the table {table} what the source has, and nothing was moved; report it with the log"
    )]
    Differs {
        /// In which table.
        table: Table,
    },
    /// Whoever watches wanted it to stop.
    #[error("stopped, and nothing was moved")]
    Stopped,
}

/// How many rows a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TableCount {
    /// Which table.
    pub table: Table,
    /// How many rows.
    pub rows: u64,
}

/// How a source is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Beside whoever works on it.
    Shared,
    /// Alone: nobody else writes until it is let go.
    Alone,
}

/// What was moved.
#[derive(Debug, Clone, Serialize)]
pub struct Transferred {
    /// Each table, as both sides have it.
    pub tables: Vec<TableDigest>,
    /// What the check of the audit found in it, in the target, before anything else was written there.
    pub audit: VerifyReport,
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferProgress {
    /// What is being done.
    pub phase: TransferPhase,
    /// With how many rows it is done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// What a move is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferPhase {
    /// Rows go from the source to the target.
    Moving,
    /// What the target holds is read back.
    Checking,
}

/// Rows, read in an order that is the same in every store.
#[async_trait]
pub trait RawRows: Send {
    /// How many rows each of [`Table::ALL`] has.
    async fn counts(&mut self) -> Result<Vec<TableCount>, StoreError>;
    /// Goes to the first row of a table, by [`Table::key`] and bytewise.
    async fn read(&mut self, table: Table) -> Result<(), StoreError>;
    /// The next rows of that table: at the most [`BATCH_MAX_ROWS`], and none after [`BATCH_MAX_BYTES`]. None when there
    /// are no more.
    async fn next(&mut self) -> Result<Vec<Row>, StoreError>;
}

/// What is moved from. Nothing is written to it.
#[async_trait]
pub trait TransferSource: RawRows {
    /// Opens it; all that is read from then on is of one moment.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it is to be [`Access::Alone`] and is not, [`StoreError::Unmigrated`] where a program
    /// of now never worked.
    async fn begin(&mut self, access: Access) -> Result<(), StoreError>;
    /// The heads of audit chains that it remembers beside the entries. They are not moved.
    async fn heads(&mut self) -> Result<Vec<(ChainName, ChainHash)>, StoreError>;
}

/// What is moved to. Dropped before the commit, it is as it was.
#[async_trait]
pub trait TransferTarget: RawRows {
    /// What it holds, whoever else works on it. Changes nothing, and makes nothing where nothing is yet.
    async fn look(&mut self) -> Result<Vec<TableCount>, StoreError>;
    /// Opens it, makes its tables where they are missing, and begins the transaction. Nobody else writes to it from
    /// then on.
    async fn begin(&mut self) -> Result<(), StoreError>;
    /// Takes rows, in the order of [`Table::ALL`] and of the source.
    async fn add(&mut self, table: Table, rows: Vec<Row>) -> Result<(), StoreError>;
    /// Records the move in its own audit chain, behind what was moved, and commits.
    async fn commit(&mut self, entry: AuditDraft) -> Result<(), StoreError>;
}

/// What would be moved, if the target is empty. Changes nothing.
///
/// # Errors
/// It could not be moved.
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

/// Moves everything. The entry that records it is made of what was moved.
///
/// # Errors
/// It was not done, and the target is as it was. If the connection to the target is lost during the commit, only the
/// target can tell whether it was done.
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
        // Rows that were passed over would be missed in the target as well.
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

/// A new store has its team and nothing else.
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
