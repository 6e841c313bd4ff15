//! A guest's `tool.toml`, for the guest's own test that its code agrees with the file.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::request::Bounds;

/// The content of a `tool.toml`.
pub struct Manifest(Table);

impl Manifest {
    /// Parses the text of the file.
    ///
    /// # Panics
    /// Panics if the text is no TOML.
    pub fn parse(text: &str) -> Self {
        Self(text.parse().expect("tool.toml is TOML"))
    }

    /// Returns the settings by key, with their defaults.
    pub fn settings(&self) -> BTreeMap<&str, Option<&str>> {
        let settings = self.tables("settings").map(|setting| {
            let default = setting.get("default").map(text);
            (text(&setting["key"]), default)
        });
        settings.collect()
    }

    /// Returns the secret of each upstream, with its origin and the setting that replaces the
    /// origin.
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

    /// Returns the secrets whose values are URLs.
    pub fn opens(&self) -> Vec<&str> {
        let opens = self.0.get("opens").and_then(Value::as_array);
        opens.into_iter().flatten().map(text).collect()
    }

    fn tables(&self, name: &str) -> impl Iterator<Item = &Table> {
        let tables = self.0.get(name).and_then(Value::as_array);
        tables.into_iter().flatten().filter_map(Value::as_table)
    }
}

/// Returns the settings for the bounds of a request, with these defaults.
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
