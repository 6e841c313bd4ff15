//! Lists of rows, for every store.

use super::StoreError;
use crate::audit::{AuditEntry, EntryRow};

/// The readable rows. A damaged row is left out with a warning, so that it breaks no list.
pub fn readable<T, E: Into<StoreError>>(
    what: &'static str,
    rows: impl Iterator<Item = Result<T, E>>,
) -> Result<Vec<T>, StoreError> {
    let mut readable = Vec::with_capacity(rows.size_hint().0);
    for row in rows {
        match row.map_err(E::into) {
            Ok(row) => readable.push(row),
            Err(StoreError::Damaged { .. }) => {
                tracing::warn!(what, "a damaged row is left out of a list");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(readable)
}

/// An audit entry, or `None` with a warning where it is damaged, so that the list goes on without
/// it.
pub fn entry<E: Into<StoreError>>(
    place: i64,
    row: Result<EntryRow, E>,
) -> Result<Option<AuditEntry>, StoreError> {
    match row
        .map_err(E::into)
        .and_then(|row| Ok(AuditEntry::try_from(row)?))
    {
        Ok(entry) => Ok(Some(entry)),
        Err(StoreError::Damaged { .. }) => {
            tracing::warn!(place, "a damaged audit entry is left out of a list");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
