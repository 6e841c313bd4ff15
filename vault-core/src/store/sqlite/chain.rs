//! The audit in SQLite: appending to the file's own chain, paging through all entries, and walking
//! them for a check.
//!
//! An entry that is appended here has no chain name. Its place is also its place in the chain,
//! unless entries of other chains were brought into the file.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use crate::{
    audit::{
        AUDIT_PAGE_MAX, AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, ChainHash,
        ChainName, EntryRow, Verifier, VerifyReport,
    },
    envelope::PayloadDigest,
    id::{AppId, VaultId},
    secret::SecretName,
    store::{StoreError, list},
};

/// The columns of an entry beside its places, in the order of [`entry_row`] and [`insert`].
const CONTENT: &str = "id, created_at, app_id, actor, api_key_id, tool, tool_digest, action, subject_kind,
    subject_id, session_id, request_id, outcome, detail, secret_version, payload_digest, prev_hash, hash";

/// Finds the newest entry. It is the head of the file's own chain, unless others were brought in
/// behind it.
const LAST: &str = "SELECT place, chain IS NULL, coalesce(seq, place), hash FROM audit ORDER BY place DESC LIMIT 1";
const OWN_LAST: &str =
    "SELECT place, TRUE, coalesce(seq, place), hash FROM audit WHERE chain IS NULL
    ORDER BY place DESC LIMIT 1";

/// Appends an entry to the current head. The caller's transaction holds the write lock, so nobody
/// else appends meanwhile.
pub(super) fn append(tx: &Connection, entry: AuditDraft) -> Result<(), StoreError> {
    let (place, row) = next(tx, entry)?;
    insert(tx, place, &row)
}

/// Appends an entry and returns it as lists will show it. An entry that no list could show is not
/// inserted.
pub(super) fn record(tx: &Connection, entry: AuditDraft) -> Result<AuditEntry, StoreError> {
    let (place, row) = next(tx, entry)?;
    let shown = AuditEntry::try_from(row.clone()).map_err(|_| StoreError::Unrecordable)?;
    insert(tx, place, &row)?;
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

/// The next entries that match the query, found by the place where the last batch ended. So the
/// last batch costs as little as the first, and entries that are appended meanwhile move nothing.
pub(super) fn batch(
    tx: &Connection,
    query: &AuditQuery,
    before_place: Option<i64>,
) -> Result<AuditBatch, StoreError> {
    let (filter, values) = filter(query, before_place);
    newest(tx, &filter, values, AUDIT_PAGE_MAX, 0)
}

/// The filters of a query, as SQL and its values. A filter that is not asked for is left out: a
/// condition that holds for every row keeps SQLite from using an index.
fn filter(query: &AuditQuery, before_place: Option<i64>) -> (String, Vec<Value>) {
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
        ("place < ?", before_place.map(Value::from)),
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
    format!(
        "{} WHERE {filter} ORDER BY place DESC LIMIT ? OFFSET ?",
        entries_sql()
    )
}

fn entries_sql() -> String {
    format!("SELECT place, chain, coalesce(seq, place), {CONTENT} FROM audit")
}

/// Reads the newest entries. Unreadable ones are left out with a warning in the log, and the next
/// batch continues behind them all the same.
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
    let (mut entries, mut seen, mut last_place) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        let place: i64 = row.get(0)?;
        (seen, last_place) = (seen + 1, Some(place));
        entries.extend(list::entry(place, entry_row(row))?);
    }
    Ok(AuditBatch {
        entries,
        next: last_place.filter(|_| seen == limit),
    })
}

/// Feeds everything to the verifier, in the snapshot of the caller's transaction.
pub(super) fn verify(tx: &Connection, mut verifier: Verifier) -> Result<VerifyReport, StoreError> {
    let mut statement = tx.prepare(&format!("{} ORDER BY place", entries_sql()))?;
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

/// The row that follows the head of the file's own chain, and its place.
fn next(tx: &Connection, entry: AuditDraft) -> Result<(i64, EntryRow), StoreError> {
    let last = end(tx, LAST)?;
    let place = last.as_ref().map(|last| last.place);
    let head = match last {
        Some(last) if !last.is_own => end(tx, OWN_LAST)?,
        own => own,
    };
    let damaged = || StoreError::Damaged {
        what: "the head of the audit",
    };
    // Only tampering leads to a place before the first one, or to the last possible one.
    let after = |last: i64| last.checked_add(1).filter(|next| *next > 1);
    let place = place.map_or(Some(1), after).ok_or_else(damaged)?;
    let (seq, prev) = match head {
        None => (1, ChainName::LOCAL.genesis()),
        Some(head) => {
            let prev = ChainHash::try_from(head.hash.as_slice());
            let seq = after(head.seq).ok_or_else(damaged)?;
            (seq, prev.map_err(|_| damaged())?)
        }
    };
    Ok((place, EntryRow::chain(entry, &ChainName::LOCAL, seq, &prev)))
}

/// The end of a chain, which the next entry continues.
struct End {
    place: i64,
    is_own: bool,
    seq: i64,
    hash: Vec<u8>,
}

fn end(tx: &Connection, sql: &str) -> rusqlite::Result<Option<End>> {
    let end = |row: &Row<'_>| {
        Ok(End {
            place: row.get(0)?,
            is_own: row.get(1)?,
            seq: row.get(2)?,
            hash: row.get(3)?,
        })
    };
    tx.prepare_cached(sql)?.query_row([], end).optional()
}

fn insert(tx: &Connection, place: i64, row: &EntryRow) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO audit (place, chain, seq, {CONTENT}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    );
    tx.prepare_cached(&sql)?.execute(params![
        place,
        Some(&row.chain).filter(|chain| !chain.is_empty()),
        Some(row.seq).filter(|seq| *seq != place),
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
    // Empty text is no name of a chain. The file's own chain has no name at all.
    let chain: Option<ChainName> = row.get(1)?;
    Ok(EntryRow {
        chain: chain.map_or_else(String::new, |chain| chain.as_str().to_owned()),
        seq: row.get(2)?,
        id: row.get(3)?,
        created_at_ms: row.get(4)?,
        app_id: row.get(5)?,
        actor: row.get(6)?,
        api_key_id: row.get(7)?,
        tool: row.get(8)?,
        tool_digest: row.get(9)?,
        action: row.get(10)?,
        subject_kind: row.get(11)?,
        subject_id: row.get(12)?,
        session_id: row.get(13)?,
        request_id: row.get(14)?,
        outcome: row.get(15)?,
        detail: row.get(16)?,
        secret_version: row.get(17)?,
        payload_digest: row.get(18)?,
        prev_hash: row.get(19)?,
        hash: row.get(20)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Caller, Finding},
        store::sqlite::schema::MIGRATIONS,
    };

    /// A list of one app must not cost as much as one of all apps, and no list may sort.
    #[test]
    fn lists_of_one_app_and_exports_walk_an_index() {
        let connection = database();
        let plan = |sql: &str, values| plan(&connection, sql, values);
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
                "SEARCH audit USING INDEX audit_by_app (app_id=? AND place<?)",
            ),
            (
                &filtered,
                Some(9),
                "SEARCH audit USING INDEX audit_by_app (app_id=? AND place<?)",
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

    /// Appending reads only the newest entries, however many there are, and sorts nothing.
    #[test]
    fn the_head_is_found_from_the_end() {
        let connection = database();
        for sql in [LAST, OWN_LAST] {
            assert_eq!(plan(&connection, sql, 0), ["SCAN audit"]);
        }
    }

    #[test]
    fn the_files_own_chain_goes_on_between_those_that_were_brought_into_it() {
        let connection = database();
        let name: ChainName = "host-a".parse().unwrap();
        let draft = || AuditDraft::new(&Caller::host(), "x.y");
        let mut head = name.genesis();
        let mut bring = |place, seq| {
            let row = EntryRow::chain(draft(), &name, seq, &head);
            head = row.derive_hash();
            insert(&connection, place, &row).unwrap();
        };
        bring(1, 1);
        let first = record(&connection, draft()).unwrap();
        assert_eq!((first.chain, first.seq), (ChainName::LOCAL, 1));
        append(&connection, draft()).unwrap();
        bring(4, 2);
        append(&connection, draft()).unwrap();
        let check = || verify(&connection, Verifier::new(Vec::new())).unwrap();
        let report = check();
        assert_eq!(report.findings, []);
        let chains = report.chains.iter();
        let chains: Vec<_> = chains.map(|it| (it.name.as_str(), it.entries)).collect();
        assert_eq!(chains, [("", 3), ("host-a", 2)]);
        let listed = page(&connection, &AuditQuery::default()).unwrap().entries;
        let listed = listed.iter().map(|entry| (entry.chain.as_str(), entry.seq));
        assert!(listed.eq([("", 3), ("host-a", 2), ("", 2), ("", 1), ("host-a", 1)]));
        // Empty text is no name.
        let edit = "UPDATE audit SET chain = '' WHERE place = 5";
        connection.execute_batch(edit).unwrap();
        assert!(matches!(
            check().findings[..],
            [Finding::DamagedEntry { after_seq: 2, .. }]
        ));
    }

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            connection.execute_batch(migration).unwrap();
        }
        connection
    }

    fn plan(connection: &Connection, sql: &str, values: usize) -> Vec<String> {
        let mut plan = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let steps = plan.query_map(params_from_iter(vec![1; values]), |row| row.get(3));
        steps.unwrap().map(Result::unwrap).collect()
    }
}
