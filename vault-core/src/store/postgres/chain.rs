//! The audit in PostgreSQL: entries that join a chain, pages of entries, and the walk of a check.
//!
//! Lists and checks go by place, which orders all entries of all chains. `group` decides in which
//! transaction entries are inserted.

use futures::{TryStreamExt, pin_mut};
use jiff::Timestamp;
use tokio_postgres::{Row, Transaction, types::ToSql};

use super::{
    ask::{Ask, Param},
    columns::{column, count},
    connections::Connection,
};
use crate::{
    audit::{
        AUDIT_PAGE_MAX, AuditBatch, AuditDraft, AuditEntry, AuditPage, AuditQuery, ChainHash,
        ChainName, EntryRow, Verifier, VerifyReport,
    },
    envelope::PayloadDigest,
    id::VaultId,
    secret::SecretName,
    store::{StoreError, list},
};

const COLUMNS: &str = "chain, seq, id, created_at, app_id, actor, api_key_id, tool, tool_digest, action, subject_kind,
    subject_id, session_id, request_id, outcome, detail, secret_version, payload_digest, prev_hash, hash";

/// Entries that follow a chain's head and are not inserted yet.
pub(super) struct Entries {
    seq: i64,
    head: ChainHash,
    rows: Vec<EntryRow>,
}

/// A position in the entries to return to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    seq: i64,
    head: ChainHash,
    rows: usize,
}

impl Entries {
    /// The statement that inserts [`Self::columns`].
    pub(super) const INSERT: &str = "INSERT INTO audit (chain, seq, id, created_at, app_id, actor, api_key_id, tool,
            tool_digest, action, subject_kind, subject_id, session_id, request_id, outcome, detail, secret_version,
            payload_digest, prev_hash, hash)
        SELECT $1, entry.* FROM unnest($2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[], $6::text[], $7::bytea[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
            $16::text[], $17::bigint[], $18::bytea[], $19::bytea[], $20::bytea[]) AS entry";

    /// No entries yet, after this head.
    pub(super) fn after(seq: i64, head: ChainHash) -> Self {
        Self {
            seq,
            head,
            rows: Vec::new(),
        }
    }

    pub(super) fn append(
        &mut self,
        chain: &ChainName,
        entry: AuditDraft,
    ) -> Result<(), StoreError> {
        let row = self.next(chain, entry)?;
        self.push(row);
        Ok(())
    }

    pub(super) fn record(
        &mut self,
        chain: &ChainName,
        entry: AuditDraft,
    ) -> Result<AuditEntry, StoreError> {
        let row = self.next(chain, entry)?;
        let shown = AuditEntry::try_from(row.clone()).map_err(|_| StoreError::Unrecordable)?;
        self.push(row);
        Ok(shown)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            seq: self.seq,
            head: self.head,
            rows: self.rows.len(),
        }
    }

    /// Removes all entries that were appended since the mark.
    pub(super) fn back_to(&mut self, mark: Mark) {
        (self.seq, self.head) = (mark.seq, mark.head);
        self.rows.truncate(mark.rows);
    }

    /// The place and the hash of the last entry.
    pub(super) fn last(&self) -> Option<(i64, ChainHash)> {
        (!self.rows.is_empty()).then_some((self.seq, self.head))
    }

    /// All entries, column by column.
    pub(super) fn columns<'a>(&'a self, chain: &'a ChainName) -> EntryColumns<'a> {
        fn each<'a, T: ToSql + Sync + Send + 'a>(
            rows: &'a [EntryRow],
            field: impl Fn(&'a EntryRow) -> T,
        ) -> Box<dyn ToSql + Sync + Send + 'a> {
            Box::new(rows.iter().map(field).collect::<Vec<T>>())
        }
        let rows = self.rows.as_slice();
        EntryColumns(vec![
            Box::new(chain.as_str()),
            each(rows, |row| row.seq),
            each(rows, |row| row.id.as_slice()),
            each(rows, |row| row.created_at_ms),
            each(rows, |row| row.app_id.as_deref()),
            each(rows, |row| row.actor.as_str()),
            each(rows, |row| row.api_key_id.as_deref()),
            each(rows, |row| row.tool.as_deref()),
            each(rows, |row| row.tool_digest.as_deref()),
            each(rows, |row| row.action.as_str()),
            each(rows, |row| row.subject_kind.as_deref()),
            each(rows, |row| row.subject_id.as_deref()),
            each(rows, |row| row.session_id.as_deref()),
            each(rows, |row| row.request_id.as_deref()),
            each(rows, |row| row.outcome.as_str()),
            each(rows, |row| row.detail.as_str()),
            each(rows, |row| row.secret_version),
            each(rows, |row| row.payload_digest.as_deref()),
            each(rows, |row| row.prev_hash.as_slice()),
            each(rows, |row| row.hash.as_slice()),
        ])
    }

    fn next(&self, chain: &ChainName, entry: AuditDraft) -> Result<EntryRow, StoreError> {
        // Only tampering reaches the last possible place.
        let seq = self.seq.checked_add(1).filter(|seq| *seq > 0);
        let seq = seq.ok_or(StoreError::Damaged {
            what: "the head of the audit",
        })?;
        Ok(EntryRow::chain(entry, chain, seq, &self.head))
    }

    fn push(&mut self, row: EntryRow) {
        (self.seq, self.head) = (row.seq, row.derive_hash());
        self.rows.push(row);
    }
}

/// The parameters of [`Entries::INSERT`].
pub(super) struct EntryColumns<'a>(Vec<Box<dyn ToSql + Sync + Send + 'a>>);

impl EntryColumns<'_> {
    pub(super) fn params(&self) -> Vec<Param<'_>> {
        self.0.iter().map(|column| &**column as Param<'_>).collect()
    }
}

/// Makes a chain known that has no entries yet. A known chain is left alone.
pub(super) async fn begin(connection: &Connection, chain: &ChainName) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO chains (name, seq, hash) VALUES ($1, 0, $2) ON CONFLICT (name) DO NOTHING";
    let genesis = chain.genesis();
    let genesis = genesis.as_bytes().as_slice();
    connection
        .change(insert, &[&chain.as_str(), &genesis])
        .await?;
    Ok(())
}

pub(super) async fn page(database: &impl Ask, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let filter = Filter::of(query, None);
    let sql = format!("SELECT count(*) FROM audit WHERE {}", filter.sql);
    let total = database.row(&sql, &filter.params()).await?;
    let total = total.map_or(Ok(0), |row| count(&row, 0))?;
    let limit = query.page_size();
    let offset = i64::try_from(query.offset).unwrap_or(i64::MAX);
    Ok(AuditPage {
        entries: newest(database, &filter, limit, offset).await?.entries,
        total,
        limit,
        offset: query.offset,
    })
}

/// The next entries that match the query, found by the place where the last batch ended. So the
/// last batch costs as little as the first, and entries that are appended meanwhile move nothing.
pub(super) async fn batch(
    database: &impl Ask,
    query: &AuditQuery,
    before_place: Option<i64>,
) -> Result<AuditBatch, StoreError> {
    let filter = Filter::of(query, before_place);
    newest(database, &filter, AUDIT_PAGE_MAX, 0).await
}

/// The filters of a query, as SQL and its values. A filter that is not asked for is left out, so
/// that an index can be used.
struct Filter {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Filter {
    fn of(query: &AuditQuery, before_place: Option<i64>) -> Self {
        let milliseconds = |at: Timestamp| at.as_millisecond();
        let mut filter = Self {
            sql: "TRUE".to_owned(),
            values: Vec::new(),
        };
        filter.and("app_id = ", query.app_id);
        filter.and_text("action = ", query.action.as_deref());
        filter.and_text("subject_kind = ", query.subject_kind.as_deref());
        filter.and("created_at >= ", query.from.map(milliseconds));
        filter.and("created_at < ", query.to.map(milliseconds));
        filter.and("place < ", before_place);
        filter
    }

    fn and(&mut self, condition: &str, value: Option<impl ToSql + Sync + Send + 'static>) {
        if let Some(value) = value {
            self.values.push(Box::new(value));
            let number = self.values.len();
            self.sql.push_str(&format!(" AND {condition}${number}"));
        }
    }

    fn and_text(&mut self, condition: &str, value: Option<&str>) {
        match value {
            // PostgreSQL would refuse such a value, and no entry has a zero character.
            Some(text) if text.contains('\0') => self.sql.push_str(" AND FALSE"),
            text => self.and(condition, text.map(str::to_owned)),
        }
    }

    fn params(&self) -> Vec<Param<'_>> {
        self.values
            .iter()
            .map(|value| &**value as Param<'_>)
            .collect()
    }
}

/// Reads the newest entries. Unreadable ones are left out with a warning in the log, and the next
/// batch continues behind them all the same.
async fn newest(
    database: &impl Ask,
    filter: &Filter,
    limit: u32,
    offset: i64,
) -> Result<AuditBatch, StoreError> {
    let next = filter.values.len() + 1;
    let sql = format!(
        "SELECT {COLUMNS}, place FROM audit WHERE {} ORDER BY place DESC LIMIT ${next} OFFSET ${}",
        filter.sql,
        next + 1
    );
    let rows = i64::from(limit);
    let mut params = filter.params();
    params.extend([&rows as Param<'_>, &offset]);
    let rows = database.rows(&sql, &params).await?;
    let (mut entries, mut last_place) = (Vec::new(), None);
    for row in &rows {
        let place: i64 = column(row, 20)?;
        last_place = Some(place);
        entries.extend(list::entry(place, entry_row(row))?);
    }
    Ok(AuditBatch {
        entries,
        next: last_place.filter(|_| rows.len() == limit as usize),
    })
}

/// Feeds everything to the verifier, in the snapshot of the caller's transaction.
pub(super) async fn verify(
    tx: &Transaction<'_>,
    mut verifier: Verifier,
) -> Result<VerifyReport, StoreError> {
    let nothing: [Param<'_>; 0] = [];
    let sql = format!("SELECT {COLUMNS} FROM audit ORDER BY place");
    let rows = tx.query_raw(&sql, nothing).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        match entry_row(&row) {
            Ok(row) => verifier.entry(row),
            Err(_) => verifier.damaged_entry(),
        }
    }
    verifier.all_heads_are_kept();
    for row in tx
        .query("SELECT name, hash FROM chains WHERE seq > 0", &[])
        .await?
    {
        let name = ChainName::from_stored(column(&row, 0)?);
        let hash = ChainHash::try_from(column::<&[u8]>(&row, 1)?);
        if let (Ok(name), Ok(hash)) = (name, hash) {
            verifier.chain_head(&name, hash);
        }
    }
    let sql = "SELECT vault_id, name, version, payload FROM secrets";
    let rows = tx.query_raw(sql, nothing).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        match secret_state(&row) {
            Ok((secret, version, digest)) => verifier.secret(secret, version, digest),
            Err(_) => verifier.damaged_secret(),
        }
    }
    Ok(verifier.finish())
}

fn secret_state(row: &Row) -> Result<(String, u64, PayloadDigest), StoreError> {
    let (vault_id, name): (VaultId, SecretName) = (column(row, 0)?, column(row, 1)?);
    let digest = PayloadDigest::derive(column(row, 3)?);
    Ok((format!("{vault_id}/{name}"), count(row, 2)?, digest))
}

fn entry_row(row: &Row) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        chain: column(row, 0)?,
        seq: column(row, 1)?,
        id: column(row, 2)?,
        created_at_ms: column(row, 3)?,
        app_id: column(row, 4)?,
        actor: column(row, 5)?,
        api_key_id: column(row, 6)?,
        tool: column(row, 7)?,
        tool_digest: column(row, 8)?,
        action: column(row, 9)?,
        subject_kind: column(row, 10)?,
        subject_id: column(row, 11)?,
        session_id: column(row, 12)?,
        request_id: column(row, 13)?,
        outcome: column(row, 14)?,
        detail: column(row, 15)?,
        secret_version: column(row, 16)?,
        payload_digest: column(row, 17)?,
        prev_hash: column(row, 18)?,
        hash: column(row, 19)?,
    })
}
