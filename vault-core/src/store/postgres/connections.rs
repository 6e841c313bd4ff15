//! The connections to the database: a few that read, and one that writes.
//!
//! A connection in doubt is closed and never used again. The callers decide what runs on a
//! connection.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError,
    RecyclingMethod, Runtime, TimeoutType,
};
use tokio_postgres::{Row, config::Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    PostgresOptions, PostgresUrl,
    ask::{Ask, Param},
};
use crate::store::StoreError;

/// The idle time of a connection before TCP keepalives are sent, and the time between them.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A pool of connections for one purpose.
pub(super) struct Connections {
    pool: Pool,
}

impl Connections {
    pub(super) fn new(
        url: &PostgresUrl,
        tls: &Arc<rustls::ClientConfig>,
        max: usize,
        options: &PostgresOptions,
    ) -> Result<Self, StoreError> {
        let manager = Manager::from_config(
            config(url, options),
            MakeRustlsConnect::new(rustls::ClientConfig::clone(tls)),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let settings = settings(options);
        let prepare = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let settings = settings.clone();
            Box::pin(async move {
                client
                    .batch_execute(&settings)
                    .await
                    .map_err(HookError::Backend)
            })
        });
        let pool = Pool::builder(manager)
            .max_size(max)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.operation_timeout))
            .create_timeout(Some(options.connect_timeout))
            .post_create(prepare)
            .build()
            .map_err(|error| StoreError::Backend(Arc::new(error)))?;
        Ok(Self { pool })
    }

    /// A connection for one use.
    pub(super) async fn one(&self) -> Result<Connection, StoreError> {
        match self.pool.get().await {
            Ok(client) => Ok(Connection(Some(client))),
            Err(
                PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)),
            ) => Err(error.into()),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(StoreError::Overloaded {
                queue_max_jobs: self.pool.status().max_size,
            }),
            Err(PoolError::Timeout(_)) => Err(StoreError::Unreachable {
                cause: "it does not answer".to_owned(),
            }),
            Err(PoolError::Closed) => Err(StoreError::Closed),
            Err(error) => Err(StoreError::Backend(Arc::new(error))),
        }
    }

    /// Closes idle connections: whatever ended one has probably ended the others.
    pub(super) fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Refuses further use. Work under way ends by itself.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// A connection that one task uses at a time. It is closed unless it is given back.
pub(super) struct Connection(Option<Object>);

impl Connection {
    /// Lets others use the connection. It must be outside any transaction, and every request on it
    /// answered.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }

    /// Runs a statement and returns the number of rows that it changed. Each connection prepares
    /// each statement once.
    pub(super) async fn change(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepare_cached(sql).await?;
        Ok(self.execute(&statement, params).await?)
    }
}

#[async_trait]
impl Ask for Connection {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepare_cached(sql).await?;
        Ok(self.query(&statement, params).await?)
    }
}

impl Deref for Connection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.0.as_ref().expect("it is there until it is given back")
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        self.0.as_mut().expect("it is there until it is given back")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

fn config(url: &PostgresUrl, options: &PostgresOptions) -> Config {
    let mut config = url.config().clone();
    config
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(options.operation_timeout)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE)
        .keepalives_retries(3);
    config
}

/// The first statements on each connection. A silent transaction holds locks that others wait for,
/// so the server ends it soon. PostgreSQL's documentation explains names and times in chapter
/// "Client Connection Defaults".
fn settings(options: &PostgresOptions) -> String {
    let statement_ms = options.statement_timeout.as_millis();
    let idle_ms = options.idle_transaction_timeout.as_millis();
    format!(
        "SET statement_timeout = {statement_ms}; SET lock_timeout = {statement_ms};
        SET idle_in_transaction_session_timeout = {idle_ms}; SET standard_conforming_strings = on;
        SET client_encoding = 'UTF8';
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
}
