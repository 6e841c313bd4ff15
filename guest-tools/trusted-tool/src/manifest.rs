//! A guest's `tool.toml`, for the guest's own test that its code says the same.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::request::Bounds;

/// The file of one guest.
pub struct Manifest(Table);

impl Manifest {
    /// Parses the text of the file.
    ///
    /// # Panics
    /// The text is no TOML.
    pub fn parse(text: &str) -> Self {
        Self(text.parse().expect("tool.toml is TOML"))
    }

    /// The settings by key, with their defaults.
    pub fn settings(&self) -> BTreeMap<&str, Option<&str>> {
        let settings = self.tables("settings").map(|setting| {
            let default = setting.get("default").map(text);
            (text(&setting["key"]), default)
        });
        settings.collect()
    }

    /// The secret of each upstream, with its origin and the setting in the origin's place.
    pub fn upstreams(&self) -> Vec<(&str, &str, &str)> {
        let upstreams = self.tables("upstreams").map(|upstream| {
            let [secret, origin, key] = ["secret", "origin", "base_url_key"];
            (
                text(&upstream[secret]),
                text(&upstream[origin]),
                text(&upstream[key]),
            )
        });
        upstreams.collect()
    }

    /// The secrets whose values are URLs.
    pub fn opens(&self) -> Vec<&str> {
        let opens = self.0.get("opens").and_then(Value::as_array);
        opens.into_iter().flatten().map(text).collect()
    }

    fn tables(&self, name: &str) -> impl Iterator<Item = &Table> {
        let tables = self.0.get(name).and_then(Value::as_array);
        tables.into_iter().flatten().filter_map(Value::as_table)
    }
}

/// The settings of bounds, with these defaults.
pub fn of_bounds(bounds: &Bounds) -> [(&'static str, u64); 4] {
    [
        ("connect_timeout_ms", bounds.connect_timeout_ms),
        ("first_byte_timeout_ms", bounds.first_byte_timeout_ms),
        ("between_bytes_timeout_ms", bounds.between_bytes_timeout_ms),
        ("max_response_bytes", bounds.max_response_bytes),
    ]
}

fn text(value: &Value) -> &str {
    value.as_str().expect("it is a text")
}
