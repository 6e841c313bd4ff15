//! The values in a database, one by one, for edits past this program. Nothing of the vault is
//! asserted here.

use rusqlite::{Connection, types::Value};

use crate::fixture::Platform;

/// A connection without the checks that keep an honest writer from nonsense.
pub fn tampering(platform: &Platform) -> Connection {
    let raw = platform.raw();
    raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        .unwrap();
    raw
}

pub fn columns(raw: &Connection, table: &str) -> Vec<String> {
    let mut statement = raw
        .prepare("SELECT name FROM pragma_table_info(?)")
        .unwrap();
    statement
        .query_map([table], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// One value in the database.
pub struct Cell<'a> {
    pub raw: &'a Connection,
    pub table: &'a str,
    pub column: &'a str,
    pub rowid: i64,
}

impl Cell<'_> {
    pub fn read(&self) -> Value {
        let sql = format!("SELECT {} FROM {} WHERE rowid = ?", self.column, self.table);
        self.raw
            .query_row(&sql, [self.rowid], |row| row.get(0))
            .unwrap()
    }

    pub fn bytes(&self, value: &Value) -> usize {
        match value {
            Value::Blob(bytes) => bytes.len(),
            Value::Text(text) => text.len(),
            Value::Integer(_) => 8,
            Value::Null | Value::Real(_) => 0,
        }
    }

    /// The value with one bit of this byte flipped. Text may become bytes that are no text.
    pub fn flipped(&self, value: &Value, index: usize) -> Value {
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[index] ^= 1 << (index % 8);
            bytes
        };
        match value {
            Value::Integer(number) => Value::Integer(i64::from_be_bytes(
                flip(&number.to_be_bytes()).try_into().unwrap(),
            )),
            Value::Text(text) => Value::Blob(flip(text.as_bytes())),
            Value::Blob(bytes) => Value::Blob(flip(bytes)),
            other => other.clone(),
        }
    }

    pub fn write(&self, value: &Value) {
        let declared = "SELECT type FROM pragma_table_info(?) WHERE name = ?";
        let declared: String = self
            .raw
            .query_row(declared, [self.table, self.column], |row| row.get(0))
            .unwrap();
        let sql = format!(
            "UPDATE {} SET {} = CAST(?1 AS {declared}) WHERE rowid = ?2",
            self.table, self.column
        );
        assert_eq!(
            self.raw
                .execute(&sql, rusqlite::params![value, self.rowid])
                .unwrap(),
            1,
            "{sql}"
        );
    }
}
