//! The vault's types in PostgreSQL columns, and the meaning of PostgreSQL's errors.

use std::{error::Error as _, io, sync::Arc};

use bytes::BytesMut;
use jiff::Timestamp;
use tokio_postgres::{
    Error, Row,
    error::SqlState,
    types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked},
};

use crate::{
    id::{ApiKeyId, AppId, TeamId, VaultId},
    key::KekId,
    metadata::Metadata,
    name::{ApiKeyName, AppName, AppSlug, VaultName},
    secret::SecretName,
    store::StoreError,
};

type Anything = Box<dyn std::error::Error + Sync + Send>;

macro_rules! sixteen_bytes {
    ($($name:ty),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Anything> {
                self.as_bytes().as_slice().to_sql(ty, out)
            }

            accepts!(BYTEA);
            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $name {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Anything> {
                Ok(Self::from_bytes(<&[u8]>::from_sql(ty, raw)?.try_into()?))
            }

            accepts!(BYTEA);
        }
    )*};
}

macro_rules! checked_text {
    ($($name:ty),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Anything> {
                self.as_str().to_sql(ty, out)
            }

            accepts!(TEXT);
            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $name {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Anything> {
                Ok(<&str>::from_sql(ty, raw)?.parse()?)
            }

            accepts!(TEXT);
        }
    )*};
}

sixteen_bytes!(ApiKeyId, AppId, KekId, TeamId, VaultId);
checked_text!(ApiKeyName, AppName, AppSlug, SecretName, VaultName);

impl ToSql for Metadata {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Anything> {
        self.to_json().to_sql(ty, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Metadata {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Anything> {
        Ok(Self::from_json(<&str>::from_sql(ty, raw)?)?)
    }

    accepts!(TEXT);
}

/// The content of a column. If it is of another type, the row is damaged.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index)
        .map_err(|_| StoreError::Damaged { what: "a row" })
}

/// A count, a version or a place from a column. None of them is negative.
pub(super) fn count(row: &Row, index: usize) -> Result<u64, StoreError> {
    u64::try_from(column::<i64>(row, index)?).map_err(|_| StoreError::Damaged { what: "a row" })
}

/// A time from a column.
pub(super) fn time(row: &Row, index: usize) -> Result<Timestamp, StoreError> {
    optional_time(row, index)?.ok_or(StoreError::Damaged { what: "a row" })
}

/// A time from a column that may be empty.
pub(super) fn optional_time(row: &Row, index: usize) -> Result<Option<Timestamp>, StoreError> {
    column::<Option<i64>>(row, index)?
        .map(Timestamp::from_millisecond)
        .transpose()
        .map_err(|_| StoreError::Damaged { what: "a row" })
}

/// Milliseconds since 1970, the precision in which times are stored.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A version or a count in the column's signed type. Whatever this program counts fits.
pub(super) fn signed(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::Damaged { what: "a row" })
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let Some(refusal) = error.as_db_error() else {
            return without_answer(error);
        };
        let (code, message) = (refusal.code(), refusal.message());
        match code {
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Conflict
            }
            &SqlState::UNIQUE_VIOLATION => Self::Taken,
            &SqlState::FOREIGN_KEY_VIOLATION => Self::NotFound,
            &SqlState::DISK_FULL => Self::Full,
            &SqlState::READ_ONLY_SQL_TRANSACTION => Self::Standby,
            // A statement that takes too long nearly always waits for a lock.
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::QUERY_CANCELED => Self::Busy,
            &SqlState::TOO_MANY_CONNECTIONS => Self::OutOfConnections,
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::AccessDenied
            }
            &SqlState::INVALID_CATALOG_NAME => Self::NoDatabase,
            &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => Self::Corrupt,
            // The number was driven to its end by tampering, or the bytes are no text of the
            // database.
            &SqlState::NUMERIC_VALUE_OUT_OF_RANGE
            | &SqlState::CHECK_VIOLATION
            | &SqlState::CHARACTER_NOT_IN_REPERTOIRE => Self::Damaged { what: "a row" },
            code if code.code().starts_with("08") || code.code().starts_with("57P") => {
                tracing::warn!(
                    code = code.code(),
                    message,
                    "the database ended a connection"
                );
                Self::Disconnected
            }
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Self::Disconnected,
            _ => Self::Backend(Arc::new(error)),
        }
    }
}

/// The meaning of an error without an answer of the server, for example a failed connection.
fn without_answer(error: Error) -> StoreError {
    let text = error.to_string();
    let cause = error.source();
    if text.contains("TLS") {
        let cause = cause.map(ToString::to_string).unwrap_or_default();
        return match cause.contains("does not support TLS") {
            true => StoreError::TlsMissing,
            false => StoreError::TlsRefused { cause },
        };
    }
    if cause.is_some_and(|cause| cause.is::<io::Error>()) || error.is_closed() {
        return match text.contains("connecting") {
            true => StoreError::Unreachable {
                cause: cause.map(ToString::to_string).unwrap_or_default(),
            },
            false => StoreError::Disconnected,
        };
    }
    if text.contains("timeout") {
        return StoreError::Disconnected;
    }
    if text.contains("authentication") || text.contains("invalid configuration") {
        // The server asked for a password, and there is none.
        return StoreError::AccessDenied;
    }
    StoreError::Backend(Arc::new(error))
}
