//! The connections that read. Each serves one read at a time, off the async threads.
//!
//! These connections cannot write (`query_only`). A read sees one snapshot from beginning to end.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, Transaction};
use tokio::{sync::Semaphore, task, time};

use super::{SqliteOptions, schema};
use crate::store::StoreError;

pub(super) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    operation_timeout: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    closed: AtomicBool,
}

impl Readers {
    /// Opens the first connection, so that an unreadable file is noticed at once.
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.into(),
            busy_timeout: options.busy_timeout,
            operation_timeout: options.operation_timeout,
            permits: Arc::new(Semaphore::new(options.readers_max.max(1))),
            idle: Mutex::new(vec![schema::open_reader(path, options.busy_timeout)?]),
            closed: AtomicBool::new(false),
        })
    }

    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_within(self.operation_timeout, work).await
    }

    /// Runs a read and gives up after `limit`. An abandoned read keeps its connection until it
    /// ends.
    pub(super) async fn read_within<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(self);
        let read = async {
            let permit = Arc::clone(&self.permits)
                .acquire_owned()
                .await
                .map_err(|_| StoreError::Closed)?;
            let blocking = task::spawn_blocking(move || {
                let outcome = readers.with_connection(work);
                drop(permit);
                outcome
            });
            blocking.await.map_err(|error| match error.is_panic() {
                true => StoreError::Panicked,
                false => StoreError::Backend(Arc::new(error)),
            })?
        };
        time::timeout(limit, read)
            .await
            .map_err(|_| StoreError::timed_out(limit))?
    }

    /// Refuses further reads. Reads under way end by themselves.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.permits.close();
        self.lock().clear();
    }

    fn with_connection<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path, self.busy_timeout)?,
        };
        let outcome = connection
            .transaction()
            .map_err(StoreError::from)
            .and_then(|tx| work(&tx));
        let mut idle = self.lock();
        if !self.closed.load(Ordering::Acquire) {
            idle.push(connection);
        }
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_that_panics_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let options = SqliteOptions {
            readers_max: 1,
            ..SqliteOptions::default()
        };
        drop(schema::open_writer(&path, options.busy_timeout).unwrap());
        let readers = Arc::new(Readers::open(&path, &options).unwrap());
        let panics = |_: &Transaction<'_>| -> Result<(), StoreError> {
            panic!("this panic is part of a test")
        };
        assert!(matches!(
            readers.read(panics).await,
            Err(StoreError::Panicked)
        ));
        let teams = "SELECT count(*) FROM teams";
        let count =
            readers.read(move |tx| Ok(tx.query_row(teams, [], |row| row.get::<_, u64>(0))?));
        assert_eq!(count.await.unwrap(), 1);
    }
}
