//! The vault's types in SQLite columns, and the meaning of SQLite's errors.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{
    ErrorCode, Row, ffi,
    types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef},
};

use crate::{
    audit::ChainName,
    id::{ApiKeyId, AppId, TeamId, VaultId},
    key::KekId,
    metadata::Metadata,
    name::{ApiKeyName, AppName, AppSlug, VaultName},
    secret::SecretName,
    store::StoreError,
};

macro_rules! sixteen_bytes {
    ($($name:ty),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 16]>::column_result(value).map(Self::from_bytes)
            }
        }
    )*};
}

macro_rules! checked_text {
    ($($name:ty),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(|error| FromSqlError::Other(Box::new(error)))
            }
        }
    )*};
}

sixteen_bytes!(ApiKeyId, AppId, KekId, TeamId, VaultId);
checked_text!(
    ApiKeyName, AppName, AppSlug, ChainName, SecretName, VaultName
);

impl ToSql for Metadata {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_json().into())
    }
}

impl FromSql for Metadata {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_json(value.as_str()?).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A time as milliseconds since 1970, the precision in which times are stored.
pub(super) struct At(pub(super) Timestamp);

impl At {
    pub(super) fn now() -> Self {
        let now = Timestamp::now().as_millisecond();
        Self(Timestamp::from_millisecond(now).expect("the present is a time"))
    }
}

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_millisecond().into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let at = Timestamp::from_millisecond(value.as_i64()?);
        at.map(Self)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A time from a column.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(|At(at)| at)
}

/// A time from a column that may be empty.
pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<At>>(column)
        .map(|at| at.map(|At(at)| at))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            E::SqliteFailure(cause, _) => match (cause.code, cause.extended_code) {
                (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy,
                (ErrorCode::DiskFull, _) => Self::Full,
                (ErrorCode::ReadOnly, _) => Self::ReadOnly,
                (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Corrupt,
                (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                    Self::Taken
                }
                (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Self::NotFound,
                // Values that this program binds fit their columns. A counter that tampering drove
                // to its end does not.
                (_, ffi::SQLITE_CONSTRAINT_DATATYPE) => Self::Damaged { what: "a row" },
                _ => Self::Backend(Arc::new(error)),
            },
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..) => Self::Damaged { what: "a row" },
            E::QueryReturnedNoRows => Self::NotFound,
            _ => Self::Backend(Arc::new(error)),
        }
    }
}
