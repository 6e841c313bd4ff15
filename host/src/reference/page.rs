//! `docs/configuration-reference.md`: one table for each section.

use tavora_wasm::builtin::{self, Setting};

use super::settings::{Key, Section};
use super::text::{COMMAND, cell, in_larger_unit, toml};

const INTRODUCTION: &str = "\
Every key of `tavora.toml`, with its default. [Configuration](configuration.md) says where the file
is, and what people change first. [tavora.example.toml](../tavora.example.toml) has the same as a
file to copy. An unknown key is refused. A path is relative to the file that it stands in.";

/// The introduction to the settings of each guest.
const OF_A_GUEST: &str = "\
Every value is a text in quotes, a number too. [Configuration]\
(configuration.md#settings-of-the-built-in-tools) says how they go together.";

pub(super) fn text(sections: &[Section]) -> String {
    let mut text = format!(
        "# Configuration reference\n\n<!-- `{COMMAND}` writes this file from the code. -->\n\n{INTRODUCTION}\n\n"
    );
    text += "| section | what it is for |\n| --- | --- |\n";
    for section in sections {
        let path = &section.path;
        let anchor = path.replace('.', "").to_lowercase();
        text += &format!(
            "| [`[{path}]`](#{anchor}) | {} |\n",
            cell(first_sentence(&section.text))
        );
    }
    for (guest, _) in guests() {
        let anchor = format!("tools{guest}config");
        text += &format!(
            "| [`[tools.{guest}.config]`](#{anchor}) | The settings of a built-in tool. |\n"
        );
    }
    for section in sections {
        text += &format!("\n## [{}]\n\n{}\n\n", section.path, section.text);
        text += "| key | type | default | meaning |\n| --- | --- | --- | --- |\n";
        for key in &section.keys {
            let (name, kind) = (&key.name, &key.kind);
            let (default, meaning) = (default(key), cell(&meaning(key)));
            text += &format!("| `{name}` | {kind} | {default} | {meaning} |\n");
        }
    }
    for (guest, settings) in guests() {
        text += &format!("\n## [tools.{guest}.config]\n\n{OF_A_GUEST}\n\n");
        text += "| key | default | meaning |\n| --- | --- | --- |\n";
        for setting in settings {
            let default = setting.follows.as_ref().or(setting.default.as_ref());
            let default = default.map_or("none".to_owned(), |text| format!("`{text}`"));
            let (key, meaning) = (&setting.key, cell(&setting.meaning));
            text += &format!("| `{key}` | {default} | {meaning} |\n");
        }
    }
    text
}

/// Returns the guests that have settings.
fn guests() -> impl Iterator<Item = (&'static str, Vec<Setting>)> {
    builtin::settings().filter(|(_, settings)| !settings.is_empty())
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

fn default(key: &Key) -> String {
    match &key.default {
        Some(value) => {
            let shown = format!("`{}`", toml(value));
            match in_larger_unit(&key.kind, value) {
                Some(larger) => format!("{shown} ({larger})"),
                None => shown,
            }
        }
        None if key.is_required => "required".to_owned(),
        None => "none".to_owned(),
    }
}

fn meaning(key: &Key) -> String {
    match &key.example {
        Some(example) => format!("{} For example `{}`.", key.text, toml(example)),
        None => key.text.clone(),
    }
}
