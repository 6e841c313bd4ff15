//! The audit as a file: a JSON array or CSV (RFC 4180), page by page out of the store, whatever its length.
//!
//! A file that breaks off because the store failed is not valid JSON, or ends the response early, so that nobody takes
//! it for the whole. Cells that a spreadsheet would run as a formula start with an apostrophe.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use futures::Stream;
use futures::stream;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use vault_core::{AuditEntry, AuditQuery, SecretVaults, VaultError};

/// What kind of file.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// An array of entries.
    #[default]
    Json,
    /// A header line and a line for each entry.
    Csv,
}

/// The entries of a page, in the file.
const PAGE_ENTRIES: u32 = 1_000;

/// The columns of the CSV file: the fields of an entry.
const COLUMNS: [&str; 11] = [
    "id",
    "app_id",
    "actor_user_id",
    "actor_api_key_id",
    "action",
    "subject_type",
    "subject_id",
    "agent_version_id",
    "session_id",
    "metadata",
    "created_at",
];

/// The headers and the body of a file with all entries that fit `query`.
pub fn file(
    vaults: SecretVaults,
    query: AuditQuery,
    format: ExportFormat,
) -> ([(HeaderName, HeaderValue); 2], Body) {
    let (kind, disposition) = match format {
        ExportFormat::Json => (
            "application/json",
            "attachment; filename=\"audit-log.json\"",
        ),
        ExportFormat::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"audit-log.csv\"",
        ),
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_DISPOSITION, HeaderValue::from_static(disposition)),
    ];
    (headers, Body::from_stream(pieces(vaults, query, format)))
}

/// Where the export stands.
enum Place {
    Start,
    After(u64),
    End,
}

/// The file, in pieces of one page each.
fn pieces(
    vaults: SecretVaults,
    query: AuditQuery,
    format: ExportFormat,
) -> impl Stream<Item = Result<Bytes, VaultError>> {
    let export = (vaults, query, Place::Start);
    stream::try_unfold(export, async move |(vaults, mut query, place)| {
        let first = match place {
            Place::End => return Ok(None),
            Place::Start => true,
            Place::After(seq) => {
                query.before_seq = Some(seq);
                false
            }
        };
        query.limit = Some(PAGE_ENTRIES);
        let entries = match vaults.audit_scan(query.clone()).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "an export of the audit broke off");
                return Err(error);
            }
        };
        let next = match entries.last() {
            Some(last) if entries.len() == PAGE_ENTRIES as usize => Place::After(last.seq),
            _ => Place::End,
        };
        let last = matches!(next, Place::End);
        let piece = match format {
            ExportFormat::Json => json(&entries, first, last),
            ExportFormat::Csv => csv(&entries, first),
        };
        Ok(Some((Bytes::from(piece), (vaults, query, next))))
    })
}

fn json(entries: &[AuditEntry], first: bool, last: bool) -> Vec<u8> {
    let mut piece = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        piece.extend_from_slice(if first && index == 0 { b"[\n" } else { b",\n" });
        serde_json::to_writer(&mut piece, entry).expect("an entry is JSON, and memory takes it");
    }
    if first && entries.is_empty() {
        piece.push(b'[');
    }
    if last {
        piece.extend_from_slice(b"\n]\n");
    }
    piece
}

fn csv(entries: &[AuditEntry], first: bool) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = "memory takes what is written";
    if first {
        writer.write_record(COLUMNS).expect(written);
    }
    for entry in entries {
        let entry = serde_json::to_value(entry).expect("an entry is JSON");
        let cells = COLUMNS.map(|column| cell(&entry[column]));
        writer.write_record(cells).expect(written);
    }
    writer.into_inner().expect(written)
}

/// What stands in a cell; a formula is made text.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(cell(&json!(formula)), format!("'{formula}"));
        }
        assert_eq!(cell(&json!("plain=text")), "plain=text");
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&json!({ "a": 1 })), r#"{"a":1}"#);
    }
}
