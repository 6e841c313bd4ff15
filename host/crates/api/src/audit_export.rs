//! Exports the audit as a file: a JSON array or CSV (RFC 4180), read from the store page by page,
//! of any length.
//!
//! If the store fails in the middle, the JSON is invalid, or the response ends with an error, so
//! that nobody takes the file for complete. Cells that a spreadsheet would run as a formula get a
//! leading apostrophe.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use futures::Stream;
use futures::stream;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use vault_core::{AuditEntry, AuditQuery, SecretVaults, VaultError};

use tavora_scrub::shown;

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

/// The columns of the CSV file, which are the fields of an entry.
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

/// Returns the headers and the body of a file with all entries that match `query`.
pub fn file(
    vaults: &SecretVaults,
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

/// The progress of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Middle,
    End,
}

/// Returns the file in pieces of one batch each.
fn pieces(
    vaults: &SecretVaults,
    query: AuditQuery,
    format: ExportFormat,
) -> impl Stream<Item = Result<Bytes, VaultError>> + use<> {
    let export = vaults.audit_export(query);
    stream::try_unfold(
        (export, Place::Start),
        move |(mut export, place)| async move {
            if place == Place::End {
                return Ok(None);
            }
            let batch = export
                .next_batch()
                .await
                .inspect_err(|error| tracing::error!(%error, "an export of the audit broke off"))?;
            let next = match batch {
                Some(_) => Place::Middle,
                None => Place::End,
            };
            let entries = batch.unwrap_or_default();
            let piece = match format {
                ExportFormat::Json => json(&entries, place, next),
                ExportFormat::Csv => csv(&entries, place),
            };
            Ok(Some((Bytes::from(piece), (export, next))))
        },
    )
}

fn json(entries: &[AuditEntry], place: Place, next: Place) -> Vec<u8> {
    let mut piece = Vec::new();
    let mut separator: &[u8] = match place {
        Place::Start => b"[\n",
        _ => b",\n",
    };
    for entry in entries {
        piece.extend_from_slice(separator);
        serde_json::to_writer(&mut piece, entry).expect("an entry is JSON, and memory takes it");
        separator = b",\n";
    }
    if next == Place::End {
        piece.extend_from_slice(if place == Place::Start {
            b"[]\n"
        } else {
            b"\n]\n"
        });
    }
    piece
}

fn csv(entries: &[AuditEntry], place: Place) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let written = "memory takes what is written";
    if place == Place::Start {
        writer.write_record(COLUMNS).expect(written);
    }
    for entry in entries {
        let entry = serde_json::to_value(entry).expect("an entry is JSON");
        let cells = COLUMNS.map(|column| cell(&entry[column]));
        writer.write_record(cells).expect(written);
    }
    writer.into_inner().expect(written)
}

/// Formats a cell. A formula becomes text.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    shown::cell(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_holds_its_value_and_no_formula() {
        assert_eq!(cell(&json!("\n＝1+1")), "'\n＝1+1");
        assert_eq!(cell(&json!("plain=text")), "plain=text");
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&json!({ "a": 1 })), r#"{"a":1}"#);
    }
}
