//! `tavora.example.toml`: every key as a comment, below an explanation.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::settings::{Key, Section};
use super::text::{COMMAND, SCHEMA, toml, wrapped};

/// The width of a line, in characters.
const WIDTH: usize = 100;

const HEADER: &str = "\
Every key of tavora.toml, with its default. Copy this file to tavora.toml and take the # away from \
what you change.

`#key = value` is a default: taking the # away changes nothing. Where a paragraph says \"For \
example:\" there is no default to show, and what stands there is an example. An unknown key is \
refused. Sizes (`_bytes`) are bytes, times (`_ms`) are milliseconds.

No credential belongs here: secrets are in vaults, the KEK in TAVORA_SECRET_KEK, in a file of its \
own, or with a provider below.";

/// The end of the explanation of a key that has no default.
const EXAMPLE: &str = "For example:";

pub(super) fn text(sections: &[Section]) -> String {
    let mut paragraphs = vec![format!("#:schema ./{SCHEMA}"), header()];
    for section in sections {
        match section.examples.is_empty() {
            true => plain(section, &mut paragraphs),
            false => named(section, &mut paragraphs),
        }
    }
    paragraphs.join("\n\n") + "\n"
}

fn header() -> String {
    let written = format!("`{COMMAND}` writes this file from the code.");
    let paragraphs: Vec<String> = HEADER
        .split("\n\n")
        .chain([&*written])
        .map(comment)
        .collect();
    paragraphs.join("\n#\n")
}

/// Writes a section that always exists. Keys with short explanations stand together.
fn plain(section: &Section, paragraphs: &mut Vec<String>) {
    let header = format!("{}\n[{}]", comment(&section.text), section.path);
    paragraphs.push(header);
    let mut last_is_short = false;
    for key in &section.keys {
        let (text, value) = match (&key.default, &key.example) {
            (Some(default), _) => (key.text.clone(), default),
            (None, Some(example)) => (format!("{} {EXAMPLE}", key.text), example),
            (None, None) => panic!("{} of [{}] wants an example", key.name, section.path),
        };
        let comment = comment(&text);
        let is_short = key.default.is_some() && !comment.contains('\n');
        let entry = format!("{comment}\n#{} = {}", key.name, toml(value));
        match paragraphs.last_mut() {
            Some(paragraph) if is_short && last_is_short => {
                paragraph.push('\n');
                paragraph.push_str(&entry);
            }
            _ => paragraphs.push(entry),
        }
        last_is_short = is_short;
    }
}

/// Writes a section whose name the operator chooses, as whole tables. A key is explained in the
/// first table that has it.
fn named(section: &Section, paragraphs: &mut Vec<String>) {
    let mut explained = BTreeSet::new();
    for (name, table) in &section.examples {
        let path = section.path.replace("NAME", name);
        let table = table.as_object().expect("an example of a table is a table");
        if !section.keys.iter().any(|key| table.contains_key(&key.name)) {
            continue;
        }
        let introduction = match explained.is_empty() {
            true => format!("{} {EXAMPLE}", section.text),
            false => format!("Another table of this kind. {EXAMPLE}"),
        };
        let mut lines = vec![comment(&introduction), format!("#[{path}]")];
        for key in &section.keys {
            let Some(value) = table.get(&key.name) else {
                continue;
            };
            if explained.insert(&key.name) {
                lines.push(comment(&key.text_in_table()));
            }
            lines.push(format!("#{} = {}", key.name, toml(value)));
        }
        paragraphs.push(lines.join("\n"));
    }
    let unexplained = section
        .keys
        .iter()
        .find(|key| !explained.contains(&key.name));
    if let Some(key) = unexplained {
        panic!("no example of [{}] has {}", section.path, key.name);
    }
}

impl Key {
    /// Returns the explanation of the key with its default.
    fn text_in_table(&self) -> String {
        match &self.default {
            Some(default) if !is_empty(default) => {
                format!("{} The default is {}.", self.text, toml(default))
            }
            _ => self.text.clone(),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// Returns a text as comment lines. Backquotes are removed.
fn comment(text: &str) -> String {
    let lines = wrapped(&text.replace('`', ""), WIDTH - 2);
    let lines: Vec<String> = lines.iter().map(|line| format!("# {line}")).collect();
    lines.join("\n")
}
