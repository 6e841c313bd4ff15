//! Reads outside any transaction, repeated after a passing trouble.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time;
use tokio_postgres::Row;

use super::{
    ask::{Ask, Param},
    attempts::Attempts,
    connections::Connections,
};
use crate::store::StoreError;

/// The connections that read. Each statement sees a snapshot of its own.
pub(super) struct Readers {
    pub(super) connections: Connections,
    pub(super) operation_timeout: Duration,
    pub(super) attempts_max: u32,
}

#[async_trait]
impl Ask for Readers {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut attempts = Attempts::new(self.attempts_max);
        let limit = self.operation_timeout;
        let read = async {
            loop {
                match self.read(sql, params).await {
                    Err(error) if attempts.again_after(&error).await => {}
                    outcome => return outcome,
                }
            }
        };
        let outcome = time::timeout(limit, read).await;
        outcome.unwrap_or_else(|_| {
            // Whatever keeps one connection silent probably keeps the others silent.
            self.connections.forget_idle();
            Err(StoreError::timed_out(limit))
        })
    }
}

impl Readers {
    async fn read(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let connection = self.connections.one().await?;
        let rows = connection.rows(sql, params).await;
        match &rows {
            Ok(_) => connection.give_back(),
            Err(StoreError::Disconnected) => self.connections.forget_idle(),
            Err(_) => {}
        }
        rows
    }
}
