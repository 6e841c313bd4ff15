//! Asking for rows, whether on a connection, of a pool or in a transaction.

use async_trait::async_trait;
use tokio_postgres::{Row, types::ToSql};

use crate::store::StoreError;

/// A value on its way to a statement.
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// Whom a statement can be asked of.
#[async_trait]
pub(super) trait Ask: Send + Sync {
    /// The rows that a statement gives.
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError>;

    /// The first of them, if there is one.
    async fn row(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }
}
