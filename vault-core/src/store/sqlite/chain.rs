//! The audit in SQLite: append to the chain, page through it, walk it for a check.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    audit::{
        AuditDraft, AuditEntry, AuditPage, AuditQuery, ChainHash, EntryRow, Verifier, VerifyReport,
    },
    envelope::PayloadDigest,
    id::VaultId,
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
    let filter = "(?1 IS NULL OR app_id = ?1) AND (?2 IS NULL OR action = ?2) AND (?3 IS NULL OR subject_kind = ?3)
        AND (?4 IS NULL OR created_at >= ?4) AND (?5 IS NULL OR created_at < ?5)";
    let (from, to) = (
        query.from.map(|at| at.as_millisecond()),
        query.to.map(|at| at.as_millisecond()),
    );
    let conditions = params![query.app_id, query.action, query.subject_kind, from, to];
    let total = tx.query_row(
        &format!("SELECT count(*) FROM audit WHERE {filter}"),
        conditions,
        |row| row.get(0),
    )?;
    let limit = query.page_size();
    let offset = i64::try_from(query.offset).unwrap_or(i64::MAX);
    let sql =
        format!("SELECT {COLUMNS} FROM audit WHERE {filter} ORDER BY seq DESC LIMIT ?6 OFFSET ?7");
    let mut statement = tx.prepare(&sql)?;
    let conditions = params![
        query.app_id,
        query.action,
        query.subject_kind,
        from,
        to,
        limit,
        offset
    ];
    let rows =
        super::columns::readable("audit entry", statement.query_map(conditions, entry_row)?)?;
    let entries = rows.into_iter().filter_map(|row| {
        let seq = row.seq;
        row.try_into()
            .inspect_err(|_| tracing::warn!(seq, "a damaged audit entry is left out of a list"))
            .ok()
    });
    Ok(AuditPage {
        entries: entries.collect(),
        total,
        limit,
        offset: query.offset,
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
