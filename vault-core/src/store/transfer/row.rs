//! The format of a move: tables, their columns in one order, rows as they stand, and the digest of
//! a table.
//!
//! Every store has these columns. A store that keeps something in another way shows it in this
//! form.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const DOMAIN: &[u8] = b"tavora/transfer/v1";

/// A table of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The team of the database.
    Teams,
    /// The apps, without their designations.
    Apps,
    /// The API keys of all apps.
    ApiKeys,
    /// The vaults of all apps.
    Vaults,
    /// The designations of apps. No store has this table. It is apart from the apps so that it can
    /// come after the vaults.
    Designations,
    /// The KEKs, each with the number of all its wraps.
    Keks,
    /// The sealed secrets of all vaults.
    Secrets,
    /// The audit entries of all chains.
    Audit,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name in SQL.
    pub name: &'static str,
    /// The type of the content.
    pub kind: Kind,
}

/// The type of a column's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signed number of 64 bits.
    Integer,
    /// Text, stored as its bytes.
    Text,
    /// Bytes of any kind.
    Bytes,
}

/// The content of one column in one row.
#[derive(Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing, as NULL in SQL.
    Null,
    /// A signed number of 64 bits.
    Integer(i64),
    /// The bytes of text. Tampering can have left bytes that are no text.
    Text(Vec<u8>),
    /// Bytes of any kind.
    Bytes(Vec<u8>),
}

/// A row: a cell for each of [`Table::columns`].
#[derive(Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Cell>);

/// A digest of all rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDigest {
    /// The table in question.
    pub table: Table,
    /// The number of rows.
    pub rows: u64,
    /// The SHA-256 over all rows in order, in hex.
    pub sha256: String,
}

const fn integer(name: &'static str) -> Column {
    let kind = Kind::Integer;
    Column { name, kind }
}

const fn text(name: &'static str) -> Column {
    let kind = Kind::Text;
    Column { name, kind }
}

const fn bytes(name: &'static str) -> Column {
    let kind = Kind::Bytes;
    Column { name, kind }
}

impl Table {
    /// All tables. Each comes after those that it refers to, and the secrets come after the audit
    /// that they are compared with.
    pub const ALL: [Self; 8] = [
        Self::Teams,
        Self::Apps,
        Self::ApiKeys,
        Self::Vaults,
        Self::Designations,
        Self::Keks,
        Self::Audit,
        Self::Secrets,
    ];

    /// The name in SQL and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teams => "teams",
            Self::Apps => "apps",
            Self::ApiKeys => "api_keys",
            Self::Vaults => "vaults",
            Self::Designations => "designations",
            Self::Keks => "keks",
            Self::Secrets => "secrets",
            Self::Audit => "audit",
        }
    }

    /// The noun for this number of its rows.
    pub fn noun(self, rows: u64) -> &'static str {
        match (self, rows) {
            (Self::Teams, 1) => "team",
            (Self::Teams, _) => "teams",
            (Self::Apps, 1) => "app",
            (Self::Apps, _) => "apps",
            (Self::ApiKeys, 1) => "API key",
            (Self::ApiKeys, _) => "API keys",
            (Self::Vaults, 1) => "vault",
            (Self::Vaults, _) => "vaults",
            (Self::Designations, 1) => "designation",
            (Self::Designations, _) => "designations",
            (Self::Keks, 1) => "KEK",
            (Self::Keks, _) => "KEKs",
            (Self::Secrets, 1) => "secret",
            (Self::Secrets, _) => "secrets",
            (Self::Audit, 1) => "audit entry",
            (Self::Audit, _) => "audit entries",
        }
    }

    /// The columns, with those of the key first.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Teams => const { &[bytes("id")] },
            Self::Apps => {
                const {
                    &[
                        bytes("id"),
                        bytes("team_id"),
                        text("name"),
                        text("slug"),
                        text("description"),
                        integer("created_at"),
                        integer("updated_at"),
                    ]
                }
            }
            Self::ApiKeys => {
                const {
                    &[
                        bytes("id"),
                        bytes("app_id"),
                        text("name"),
                        bytes("secret_hash"),
                        integer("created_at"),
                        integer("expires_at"),
                        integer("revoked_at"),
                    ]
                }
            }
            Self::Vaults => {
                const {
                    &[
                        bytes("id"),
                        bytes("app_id"),
                        text("name"),
                        text("metadata"),
                        integer("created_at"),
                        integer("updated_at"),
                    ]
                }
            }
            Self::Designations => const { &[bytes("app_id"), bytes("vault_id")] },
            Self::Keks => {
                const {
                    &[
                        bytes("id"),
                        bytes("canary"),
                        integer("wraps"),
                        integer("created_at"),
                    ]
                }
            }
            Self::Secrets => {
                const {
                    &[
                        bytes("vault_id"),
                        text("name"),
                        integer("version"),
                        bytes("kek_id"),
                        integer("created_at"),
                        integer("updated_at"),
                        bytes("wrapped"),
                        bytes("payload"),
                    ]
                }
            }
            Self::Audit => {
                const {
                    &[
                        integer("place"),
                        text("chain"),
                        integer("seq"),
                        bytes("id"),
                        integer("created_at"),
                        bytes("app_id"),
                        text("actor"),
                        bytes("api_key_id"),
                        text("tool"),
                        text("tool_digest"),
                        text("action"),
                        text("subject_kind"),
                        text("subject_id"),
                        text("session_id"),
                        text("request_id"),
                        text("outcome"),
                        text("detail"),
                        integer("secret_version"),
                        bytes("payload_digest"),
                        bytes("prev_hash"),
                        bytes("hash"),
                    ]
                }
            }
        }
    }

    /// The columns that identify a row and give the order.
    pub fn key(self) -> &'static [Column] {
        let columns = match self {
            Self::Secrets => 2,
            _ => 1,
        };
        &self.columns()[..columns]
    }
}

/// The names of columns, joined for a query.
pub fn names(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Row {
    /// The cells of the key.
    pub fn key(&self, table: Table) -> Self {
        let cells = self.0.iter().take(table.key().len());
        Self(cells.cloned().collect())
    }

    /// A description of the row for people.
    pub fn describe(&self, table: Table) -> String {
        let show = |cell: &Cell| match cell {
            Cell::Null => "-".to_owned(),
            Cell::Integer(number) => number.to_string(),
            Cell::Text(text) => String::from_utf8_lossy(text).escape_debug().to_string(),
            Cell::Bytes(bytes) => match Uuid::from_slice(bytes) {
                Ok(id) => id.to_string(),
                Err(_) => hex::encode(bytes),
            },
        };
        let key: Vec<_> = self.key(table).0.iter().map(show).collect();
        format!("{} {}", table.noun(1), key.join("/"))
    }

    /// The approximate size in bytes.
    pub fn size_bytes(&self) -> usize {
        let size = |cell: &Cell| match cell {
            Cell::Null => 0,
            Cell::Integer(_) => 8,
            Cell::Text(bytes) | Cell::Bytes(bytes) => bytes.len(),
        };
        self.0.iter().map(size).sum()
    }
}

/// A digest in progress.
pub(super) struct Tally {
    table: Table,
    rows: u64,
    hash: Sha256,
}

impl Tally {
    pub(super) fn of(table: Table) -> Self {
        let mut hash = Sha256::new();
        for text in [DOMAIN, table.name().as_bytes()] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self {
            table,
            rows: 0,
            hash,
        }
    }

    /// Adds a row. Each cell is hashed as a byte for its type, then its length and its content, so
    /// that no two tables hash alike.
    pub(super) fn add(&mut self, row: &Row) {
        self.rows += 1;
        for cell in &row.0 {
            let number;
            let (kind, content) = match cell {
                Cell::Null => (0, [].as_slice()),
                Cell::Integer(value) => {
                    number = value.to_be_bytes();
                    (1, number.as_slice())
                }
                Cell::Text(text) => (2, text.as_slice()),
                Cell::Bytes(bytes) => (3, bytes.as_slice()),
            };
            self.hash.update([kind]);
            self.hash.update((content.len() as u64).to_be_bytes());
            self.hash.update(content);
        }
    }

    pub(super) fn finish(self) -> TableDigest {
        TableDigest {
            table: self.table,
            rows: self.rows,
            sha256: hex::encode(self.hash.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(table: Table, rows: &[&[Cell]]) -> TableDigest {
        let mut tally = Tally::of(table);
        rows.iter()
            .for_each(|cells| tally.add(&Row(cells.to_vec())));
        tally.finish()
    }

    #[test]
    fn whatever_is_different_has_another_digest() {
        let text = |text: &str| Cell::Text(text.into());
        let bytes = |text: &str| Cell::Bytes(text.into());
        let rows: [&[&[Cell]]; 11] = [
            &[],
            &[&[Cell::Null]],
            &[&[text("")]],
            &[&[bytes("")]],
            &[&[Cell::Integer(0)]],
            &[&[bytes("\0\0\0\0\0\0\0\0")]],
            &[&[text("a"), text("b")]],
            &[&[text("ab"), text("")]],
            &[&[text("b"), text("a")]],
            &[&[text("a")], &[text("b")], &[text("c")]],
            &[&[text("b")], &[text("a")], &[text("c")]],
        ];
        let digests = rows.map(|rows| digest(Table::Apps, rows).sha256);
        for (at, one) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(one), "{at}");
        }
        assert_ne!(digest(Table::Apps, &[]), digest(Table::Vaults, &[]));
        assert_eq!(digest(Table::Apps, rows[9]), digest(Table::Apps, rows[9]));
    }
}
