//! The audit in SQLite: append to the chain, page through it, walk it for a check.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use crate::{
    audit::{
        AUDIT_PAGE_MAX, AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, ChainHash,
        EntryRow, Verifier, VerifyReport,
    },
    envelope::PayloadDigest,
    id::{AppId, VaultId},
    secret::SecretName,
    store::StoreError,
};

const COLUMNS: &str = "seq, id, created_at, app_id, actor, api_key_id, tool, tool_digest, action, subject_kind,
    subject_id, session_id, request_id, outcome, detail, secret_version, payload_digest, prev_hash, hash";

/// Appends an entry to the head as it is now. The caller's transaction holds the write lock, so nobody else can.
pub(super) fn append(tx: &Connection, entry: AuditDraft) -> Result<(), StoreError> {
    insert(tx, &next(tx, entry)?)
}

/// The same, and returns the entry as lists will show it. What no list could show is not inserted.
pub(super) fn record(tx: &Connection, entry: AuditDraft) -> Result<AuditEntry, StoreError> {
    let row = next(tx, entry)?;
    let shown = AuditEntry::try_from(row.clone()).map_err(|_| StoreError::Unrecordable)?;
    insert(tx, &row)?;
    Ok(shown)
}

pub(super) fn page(tx: &Connection, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let (filter, values) = filter(query, None);
    let count = format!("SELECT count(*) FROM audit WHERE {filter}");
    let total = tx
        .prepare_cached(&count)?
        .query_row(params_from_iter(&values), |row| row.get(0))?;
    let limit = query.page_size();
    let offset = i64::try_from(query.offset).unwrap_or(i64::MAX);
    Ok(AuditPage {
        entries: newest(tx, &filter, values, limit, offset)?.entries,
        total,
        limit,
        offset: query.offset,
    })
}

/// The next entries that fit the query, found by where the ones before ended: it costs the same at the end as at the
/// beginning, and entries that are appended in the meantime move nothing.
pub(super) fn batch(
    tx: &Connection,
    query: &AuditQuery,
    before_seq: Option<i64>,
) -> Result<AuditBatch, StoreError> {
    let (filter, values) = filter(query, before_seq);
    newest(tx, &filter, values, AUDIT_PAGE_MAX, 0)
}

/// What a query asks for, as SQL and its values. A condition that is not asked for must not be there: one that only
/// holds for every row keeps SQLite from using an index.
fn filter(query: &AuditQuery, before_seq: Option<i64>) -> (String, Vec<Value>) {
    let milliseconds = |at: Timestamp| at.as_millisecond().into();
    let app_id = |id: AppId| Value::Blob(id.as_bytes().to_vec());
    let conditions = [
        ("app_id = ?", query.app_id.map(app_id)),
        ("action = ?", query.action.clone().map(Value::from)),
        (
            "subject_kind = ?",
            query.subject_kind.clone().map(Value::from),
        ),
        ("created_at >= ?", query.from.map(milliseconds)),
        ("created_at < ?", query.to.map(milliseconds)),
        ("seq < ?", before_seq.map(Value::from)),
    ];
    let (sql, values): (Vec<_>, Vec<_>) = conditions
        .into_iter()
        .filter_map(|(sql, value)| Some((sql, value?)))
        .unzip();
    let sql = if sql.is_empty() {
        "TRUE".to_owned()
    } else {
        sql.join(" AND ")
    };
    (sql, values)
}

fn newest_sql(filter: &str) -> String {
    format!("SELECT {COLUMNS} FROM audit WHERE {filter} ORDER BY seq DESC LIMIT ? OFFSET ?")
}

/// Entries that cannot be shown are left out, with a warning in the log; the next batch goes on behind them all the
/// same.
fn newest(
    tx: &Connection,
    filter: &str,
    mut values: Vec<Value>,
    limit: u32,
    offset: i64,
) -> Result<AuditBatch, StoreError> {
    values.extend([i64::from(limit).into(), offset.into()]);
    let mut statement = tx.prepare_cached(&newest_sql(filter))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut entries, mut seen, mut last_seq) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        (seen, last_seq) = (seen + 1, Some(seq));
        match entry_row(row)
            .map_err(StoreError::from)
            .and_then(AuditEntry::try_from)
        {
            Ok(entry) => entries.push(entry),
            Err(StoreError::Damaged { .. }) => {
                tracing::warn!(seq, "a damaged audit entry is left out of a list");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(AuditBatch {
        entries,
        next: last_seq.filter(|_| seen == limit),
    })
}

/// Everything, in the snapshot of the caller's transaction.
pub(super) fn verify(tx: &Connection, mut verifier: Verifier) -> Result<VerifyReport, StoreError> {
    let mut statement = tx.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
    for row in statement.query_map([], entry_row)? {
        match row.map_err(StoreError::from) {
            Ok(row) => verifier.entry(row),
            Err(StoreError::Damaged { .. }) => verifier.damaged_entry(),
            Err(error) => return Err(error),
        }
    }
    let mut statement = tx.prepare("SELECT vault_id, name, version, payload FROM secrets")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match secret_state(row) {
            Ok((secret, version, digest)) => verifier.secret(secret, version, digest),
            Err(_) => verifier.damaged_secret(),
        }
    }
    Ok(verifier.finish())
}

/// The row that follows the head.
fn next(tx: &Connection, entry: AuditDraft) -> Result<EntryRow, StoreError> {
    let head = tx
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    let damaged = || StoreError::Damaged {
        what: "the head of the audit",
    };
    let (seq, prev) = match head {
        None => (1, ChainHash::GENESIS),
        Some((last, hash)) => {
            // Only tampering leads to a place before the first one, or to the last one there can be.
            let seq = last.checked_add(1).filter(|seq| *seq > 1);
            let prev = ChainHash::try_from(hash.as_slice());
            (seq.ok_or_else(damaged)?, prev.map_err(|_| damaged())?)
        }
    };
    Ok(EntryRow::chain(entry, seq, &prev))
}

fn insert(tx: &Connection, row: &EntryRow) -> Result<(), StoreError> {
    let sql =
        format!("INSERT INTO audit ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    tx.prepare_cached(&sql)?.execute(params![
        row.seq,
        row.id,
        row.created_at_ms,
        row.app_id,
        row.actor,
        row.api_key_id,
        row.tool,
        row.tool_digest,
        row.action,
        row.subject_kind,
        row.subject_id,
        row.session_id,
        row.request_id,
        row.outcome,
        row.detail,
        row.secret_version,
        row.payload_digest,
        row.prev_hash,
        row.hash,
    ])?;
    Ok(())
}

fn secret_state(row: &Row<'_>) -> rusqlite::Result<(String, u64, PayloadDigest)> {
    let (vault_id, name): (VaultId, SecretName) = (row.get(0)?, row.get(1)?);
    Ok((
        format!("{vault_id}/{name}"),
        row.get(2)?,
        PayloadDigest::derive(row.get_ref(3)?.as_blob()?),
    ))
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    Ok(EntryRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        created_at_ms: row.get(2)?,
        app_id: row.get(3)?,
        actor: row.get(4)?,
        api_key_id: row.get(5)?,
        tool: row.get(6)?,
        tool_digest: row.get(7)?,
        action: row.get(8)?,
        subject_kind: row.get(9)?,
        subject_id: row.get(10)?,
        session_id: row.get(11)?,
        request_id: row.get(12)?,
        outcome: row.get(13)?,
        detail: row.get(14)?,
        secret_version: row.get(15)?,
        payload_digest: row.get(16)?,
        prev_hash: row.get(17)?,
        hash: row.get(18)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who looks at one app's audit must not pay for everybody's, and nobody for sorting.
    #[test]
    fn lists_of_one_app_and_exports_walk_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        let schema = include_str!("../../../migrations/sqlite/0001_initial.sql");
        connection.execute_batch(schema).unwrap();
        let plan = |sql: &str, values: usize| {
            let mut plan = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            let steps = plan.query_map(params_from_iter(vec![1; values]), |row| row.get(3));
            steps.unwrap().collect::<Result<Vec<String>, _>>().unwrap()
        };
        let all = AuditQuery::default();
        let of_an_app = AuditQuery {
            app_id: Some(AppId::make()),
            ..all.clone()
        };
        let filtered = AuditQuery {
            action: Some("a".to_owned()),
            subject_kind: Some("b".to_owned()),
            from: Some(Timestamp::UNIX_EPOCH),
            to: Some(Timestamp::UNIX_EPOCH),
            ..of_an_app.clone()
        };
        for (query, before, expected) in [
            (&all, None, "SCAN audit"),
            (
                &all,
                Some(9),
                "SEARCH audit USING INTEGER PRIMARY KEY (rowid<?)",
            ),
            (
                &of_an_app,
                None,
                "SEARCH audit USING INDEX audit_by_app (app_id=?)",
            ),
            (
                &of_an_app,
                Some(9),
                "SEARCH audit USING INDEX audit_by_app (app_id=? AND seq<?)",
            ),
            (
                &filtered,
                Some(9),
                "SEARCH audit USING INDEX audit_by_app (app_id=? AND seq<?)",
            ),
        ] {
            let (filter, values) = filter(query, before);
            assert_eq!(plan(&newest_sql(&filter), values.len() + 2), [expected]);
        }
        let (filter, values) = filter(&of_an_app, None);
        let count = format!("SELECT count(*) FROM audit WHERE {filter}");
        assert_eq!(
            plan(&count, values.len()),
            ["SEARCH audit USING COVERING INDEX audit_by_app (app_id=?)"]
        );
    }
}
