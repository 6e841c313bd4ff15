//! The output of a command: a table for people or JSON for programs, never both.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::outcome::{Failure, Outcome};
use tavora_scrub::shown;
pub(crate) use tavora_scrub::shown::visible;

/// The format of a command's result.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON, or as the text that `text` makes of it.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        match self.json {
            true => print_json(&serde_json::to_string_pretty(value)?),
            false => print_line(text(value).trim_end()),
        }
    }
}

/// Prints JSON on stdout. On a terminal, characters that would steer it are escaped.
pub(crate) fn print_json(json: &str) -> anyhow::Result<()> {
    match io::stdout().is_terminal() {
        true => print_line(&shown::terminal_json(json)),
        false => print_line(json),
    }
}

/// Prints `text` on stdout. A closed pipe is not an error.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints `text` on stderr. Errors, such as a closed pipe, are ignored.
pub(crate) fn print_error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Asks for confirmation on a terminal. Without a terminal, `--yes` is required.
pub(crate) fn confirm(yes: bool, what: &str) -> Outcome {
    use std::io::stdin;
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "to {what} without a terminal to ask on, add --yes"
        )));
    }
    eprint!("Really {what}? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("nothing was deleted".to_owned())),
    }
}

/// Formats a table with aligned columns. Control characters are escaped.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let shown: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| visible(cell)))
        .collect();
    let width = |column: usize| {
        let cells = shown.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let line = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head)];
    lines.extend(
        shown
            .iter()
            .map(|row| line(row.each_ref().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_show() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["long\u{1b}[2J".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            table(["NAME", "N"], &rows, "none"),
            "NAME           N\na              1\nlong\\u{1b}[2J  2"
        );
        assert_eq!(table(["NAME"], &[], "no apps"), "no apps");
    }
}
