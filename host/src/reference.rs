//! The reference of the configuration and of the command line, generated from the types that read
//! them. `cargo xtask reference` writes its files; a test compares them with the code.

mod commands;
mod example_file;
mod page;
mod settings;
mod text;

use serde_json::Value;

pub use self::text::COMMAND;
use self::text::SCHEMA;
use crate::cli;

/// A generated file.
pub struct File {
    /// The path from the root of the repository.
    pub path: &'static str,
    /// The whole content of the file.
    pub text: String,
}

/// Returns every generated file.
pub fn files() -> Vec<File> {
    let schema = settings::schema();
    let sections = settings::sections(&schema);
    let file = |path, text| File { path, text };
    vec![
        file("tavora.example.toml", example_file::text(&sections)),
        file("docs/configuration-reference.md", page::text(&sections)),
        file(SCHEMA, schema_text(&schema)),
        file("docs/commands.md", commands::text(cli::definition())),
    ]
}

fn schema_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}
