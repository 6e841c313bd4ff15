//! Brings a database to the newest schema.
//!
//! Migrations are the files of `migrations/postgres/`, in order. One transaction applies the
//! missing ones. A released migration never changes. Of several hosts that start at once, one
//! migrates.

use std::{error::Error as _, sync::Arc};

use refinery_core::{Migration, Runner};
use tokio_postgres::{Client, Error, error::SqlState};

use crate::store::StoreError;

/// All migrations, by the names of their files.
const MIGRATIONS: &[(&str, &str)] = &[(
    "V1__initial",
    include_str!("../../../migrations/postgres/V1__initial.sql"),
)];

/// The table that remembers which migrations were applied.
const HISTORY: &str = "schema_history";

/// The advisory lock of a migration: "tvra".
const LOCK: i64 = 0x7476_7261;

/// Migrates on a connection of its own. Closing it afterwards releases the lock.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let failed = |error: refinery_core::Error| StoreError::Backend(Arc::new(error));
    let migrations: Result<Vec<_>, _> = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect();
    let known = MIGRATIONS.len() as i64;
    let found = version(client).await?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await?;
    let mut runner = Runner::new(&migrations.map_err(failed)?).set_grouped(true);
    runner.set_migration_table_name(HISTORY);
    let report = runner.run_async(client).await;
    let report = report.map_err(|error| refused(error, found, known))?;
    for migration in report.applied_migrations() {
        tracing::info!(version = migration.version(), "migrated the database");
    }
    Ok(())
}

/// Refuses any schema but the newest one.
pub(super) async fn require_current(client: &Client) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as i64;
    match version(client).await? {
        found if found > known => Err(StoreError::NewerSchema { found, known }),
        found if found < known => Err(StoreError::Unmigrated { found, known }),
        _ => Ok(()),
    }
}

/// The version of the schema; 0 without a schema.
async fn version(client: &Client) -> Result<i64, StoreError> {
    let exists = format!("SELECT to_regclass('{HISTORY}') IS NOT NULL");
    if !client.query_one(&exists, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    let newest = format!("SELECT coalesce(max(version), 0)::bigint FROM {HISTORY}");
    let newest = client.query_one(&newest, &[]).await?;
    newest.try_get(0).map_err(|_| StoreError::Damaged {
        what: "the schema's version",
    })
}

fn refused(error: refinery_core::Error, found: i64, known: i64) -> StoreError {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<Error>());
    match cause.and_then(Error::code) {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => StoreError::OlderSchema { found, known },
        Some(&SqlState::DUPLICATE_TABLE) => StoreError::NotOurs,
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::Standby,
        _ => StoreError::Backend(Arc::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_file_is_in_the_list() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        let known: Vec<_> = MIGRATIONS
            .iter()
            .map(|(name, sql)| (name.to_string(), sql.to_string()))
            .collect();
        assert_eq!(files, known);
    }
}
