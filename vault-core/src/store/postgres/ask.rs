//! Queries for rows, on a connection or in a transaction.

use async_trait::async_trait;
use tokio_postgres::{Row, types::ToSql};

use crate::store::StoreError;

/// A value that is bound to a statement.
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// Whatever can run a query.
#[async_trait]
pub(super) trait Ask: Send + Sync {
    /// All rows of the result.
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError>;

    /// The first row of the result.
    async fn row(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }
}
