//! The settings of `tavora.toml` as a list of sections, read from the JSON Schema of [`Config`].

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Map, Value};

use super::text::COMMAND;
use crate::config::Config;

/// A table of `tavora.toml`.
pub(super) struct Section {
    /// The name in the table's header, with `NAME` where the operator chooses a name.
    pub path: String,
    /// The purpose of the table.
    pub text: String,
    /// The keys in the order of the struct.
    pub keys: Vec<Key>,
    /// Whole example tables by their names. Only sections with `NAME` in their path have examples.
    pub examples: Map<String, Value>,
}

/// A key of a section.
pub(super) struct Key {
    pub name: String,
    /// The meaning of the key.
    pub text: String,
    /// The type or the unit, in words.
    pub kind: String,
    /// The value without the key, or `None` if there is none to show.
    pub default: Option<Value>,
    /// A value that somebody could set.
    pub example: Option<Value>,
    pub is_required: bool,
}

/// Returns the JSON Schema of `tavora.toml`, in the draft that TOML editors support.
pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(as_toml));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    RecursiveTransform(one_line).transform(&mut schema);
    schema.insert("title".to_owned(), "tavora.toml".into());
    let text = format!("The configuration of tavora-host. `{COMMAND}` writes this file.");
    schema.insert("description".to_owned(), text.into());
    schema.to_value()
}

/// Adapts a schema to TOML. TOML has no null, so an optional key must not have the type null.
/// Rust's number formats mean nothing to an editor.
fn as_toml(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [name] = &types[..] {
            let name = name.clone();
            schema.insert("type".to_owned(), name);
        }
    }
    // The keys of an inner table have defaults of their own.
    if matches!(schema.get("default"), Some(Value::Null | Value::Object(_))) {
        schema.remove("default");
    }
    // The description of a Rust type explains the type, not the key.
    for within in ["items", "additionalProperties"] {
        let within = schema.get_mut(within).and_then(Value::as_object_mut);
        if let Some(within) = within.filter(|it| !it.contains_key("properties")) {
            within.remove("description");
        }
    }
    // A list that may be left out is empty by default, even if its elements cannot be serialised.
    let is_list = schema.get("type").is_some_and(|name| name == "array");
    // A list with an example must be written.
    let is_free = schema.get("default").is_none() && schema.get("examples").is_none();
    if is_list && is_free && schema.get("description").is_some() {
        schema.insert("default".to_owned(), Value::Array(Vec::new()));
    }
}

/// Joins the lines of a description. Doc comments are wrapped for the source, and an editor wraps
/// at its own width.
fn one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}

/// Returns every section. Each one comes before the sections within it.
pub(super) fn sections(schema: &Value) -> Vec<Section> {
    let mut sections = Vec::new();
    collect(schema, String::new(), &mut sections);
    sections
}

fn collect(schema: &Value, path: String, sections: &mut Vec<Section>) {
    let mut section = Section {
        text: text(schema),
        keys: Vec::new(),
        examples: example(schema)
            .and_then(|all| all.as_object().cloned())
            .unwrap_or_default(),
        path,
    };
    let within = |name: &str| match section.path.as_str() {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    // In a map of tables, the description of the map is the description of each table.
    if let Some(each) = elements(schema).filter(|each| each.get("properties").is_some()) {
        let mut each = each.clone();
        for field in ["description", "examples"] {
            each[field] = schema.get(field).cloned().unwrap_or_default();
        }
        return collect(&each, within("NAME"), sections);
    }
    let required = schema.get("required").and_then(Value::as_array);
    let mut inner = Vec::new();
    let examples = section.examples.clone();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_section = elements(property).unwrap_or(property).get("properties");
        if is_section.is_some() {
            inner.push((name.as_str(), within(name), property));
            continue;
        }
        section.keys.push(Key {
            name: name.clone(),
            text: text(property),
            kind: kind(name, property),
            default: property.get("default").cloned(),
            example: example(property).cloned(),
            is_required: required.is_some_and(|names| names.iter().any(|it| it == name)),
        });
    }
    if !section.keys.is_empty() {
        sections.push(section);
    }
    for (name, path, property) in inner {
        let mut property = property.clone();
        // An inner table takes its examples from those of the outer table with a chosen name.
        let within =
            |(outer, table): (&String, &Value)| Some((outer.clone(), table.get(name)?.clone()));
        let within: Map<String, Value> = examples.iter().filter_map(within).collect();
        if !within.is_empty() {
            property["examples"] = vec![within].into();
        }
        collect(&property, path, sections);
    }
}

/// Returns the schema of a map's values.
fn elements(schema: &Value) -> Option<&Value> {
    schema
        .get("additionalProperties")
        .filter(|it| it.is_object())
}

fn text(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn example(schema: &Value) -> Option<&Value> {
    schema.get("examples")?.get(0)
}

/// Returns the unit that the key's name ends with, or else the type.
fn kind(name: &str, schema: &Value) -> String {
    let of = |schema: &Value| {
        schema
            .get("type")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let kind = match of(schema).as_deref() {
        Some("integer") if name.ends_with("_ms") => "milliseconds",
        Some("integer") if name.ends_with("_bytes") => "bytes",
        Some("integer") => "number",
        Some("boolean") => "true or false",
        Some("string") => "text",
        Some("array") => "list of texts",
        Some("object") => "table",
        other => panic!("the reference has no word for the type {other:?} of {name}"),
    };
    kind.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` with the path and the schema of each table and key.
    fn walk(schema: &Value, path: &str, check: &mut impl FnMut(&str, &Value)) {
        check(path, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{path}.{name}"), check);
        }
        if let Some(each) = elements(schema) {
            walk(each, &format!("{path}.NAME"), check);
        }
    }

    #[test]
    fn the_schema_refuses_unknown_keys_and_explains_known_ones() {
        let mut tables = 0;
        walk(&schema(), "", &mut |path, schema| {
            let is_element = path.ends_with(".NAME");
            assert!(is_element || !text(schema).is_empty(), "{path} has no text");
            if schema.get("properties").is_some() {
                tables += 1;
                assert_eq!(schema["additionalProperties"], false, "{path}");
            }
            assert!(
                !schema["type"].is_array(),
                "{path} may be {}",
                schema["type"]
            );
        });
        assert!(tables > 20, "only {tables} tables");
    }

    #[test]
    fn keys_have_their_unit_and_their_default() {
        let schema = schema();
        let sections = sections(&schema);
        let key = |path: &str, name: &str| {
            let section = sections.iter().find(|it| it.path == path).expect(path);
            let key = section.keys.iter().find(|it| it.name == name).expect(name);
            (key.kind.clone(), key.default.clone(), key.is_required)
        };
        let expected = |kind: &str, default, is_required| (kind.to_owned(), default, is_required);
        for (path, name, found) in [
            (
                "server",
                "listen",
                expected("text", Some("127.0.0.1:8080".into()), false),
            ),
            (
                "server",
                "hosts",
                expected("list of texts", Some(Vec::<Value>::new().into()), false),
            ),
            ("server", "tls_key_file", expected("text", None, false)),
            (
                "server.limits",
                "idle_timeout_ms",
                expected("milliseconds", Some(120_000.into()), false),
            ),
            (
                "admin",
                "https_in_front",
                expected("true or false", Some(false.into()), false),
            ),
            (
                "kek",
                "provider",
                expected("text", Some("local".into()), false),
            ),
            ("kek.transit.NAME", "key", expected("text", None, true)),
            (
                "kek.transit.NAME",
                "key_version",
                expected("number", Some(1.into()), false),
            ),
            ("tools.NAME", "config", expected("table", None, false)),
        ] {
            assert_eq!(key(path, name), found, "{path}.{name}");
        }
    }
}
