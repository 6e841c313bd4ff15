//! Feeds the rows of a move to the check of the audit. The findings are made in `audit::verify`.

use std::vec;

use super::{Cell, Row, Table};
use crate::{
    audit::{EntryRow, Verifier},
    envelope::PayloadDigest,
    id::VaultId,
    secret::SecretName,
};

/// Shows a row to a verifier, which needs all entries before any secret.
pub(super) fn show(verifier: &mut Verifier, table: Table, row: Row) {
    let cells = Cells(row.0.into_iter());
    match table {
        Table::Audit => match entry(cells) {
            Some(row) => verifier.entry(row),
            None => verifier.damaged_entry(),
        },
        Table::Secrets => match secret(cells) {
            Some((secret, version, digest)) => verifier.secret(secret, version, digest),
            None => verifier.damaged_secret(),
        },
        _ => {}
    }
}

/// The cells of a row in order. `None` for a cell whose content is not valid.
struct Cells(vec::IntoIter<Cell>);

impl Cells {
    fn number(&mut self) -> Option<Option<i64>> {
        match self.0.next()? {
            Cell::Null => Some(None),
            Cell::Integer(number) => Some(Some(number)),
            Cell::Text(_) | Cell::Bytes(_) => None,
        }
    }

    fn text(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Cell::Null => Some(None),
            Cell::Text(text) => String::from_utf8(text).ok().map(Some),
            Cell::Integer(_) | Cell::Bytes(_) => None,
        }
    }

    fn bytes(&mut self) -> Option<Option<Vec<u8>>> {
        match self.0.next()? {
            Cell::Null => Some(None),
            Cell::Bytes(bytes) => Some(Some(bytes)),
            Cell::Integer(_) | Cell::Text(_) => None,
        }
    }
}

fn entry(mut cells: Cells) -> Option<EntryRow> {
    let _place = cells.number()?;
    Some(EntryRow {
        chain: cells.text()??,
        seq: cells.number()??,
        id: cells.bytes()??,
        created_at_ms: cells.number()??,
        app_id: cells.bytes()?,
        actor: cells.text()??,
        api_key_id: cells.bytes()?,
        tool: cells.text()?,
        tool_digest: cells.text()?,
        action: cells.text()??,
        subject_kind: cells.text()?,
        subject_id: cells.text()?,
        session_id: cells.text()?,
        request_id: cells.text()?,
        outcome: cells.text()??,
        detail: cells.text()??,
        secret_version: cells.number()?,
        payload_digest: cells.bytes()?,
        prev_hash: cells.bytes()??,
        hash: cells.bytes()??,
    })
}

fn secret(mut cells: Cells) -> Option<(String, u64, PayloadDigest)> {
    let vault_id = VaultId::from_bytes(cells.bytes()??.try_into().ok()?);
    let name: SecretName = cells.text()??.parse().ok()?;
    let version = cells.number()??.try_into().ok()?;
    let Cell::Bytes(payload) = cells.0.next_back()? else {
        return None;
    };
    let secret = format!("{vault_id}/{name}");
    Some((secret, version, PayloadDigest::derive(&payload)))
}
