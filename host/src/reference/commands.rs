//! `docs/commands.md`: every command with its arguments and options.

use clap::{Arg, ArgAction, Command};

use super::text::{COMMAND, cell};

pub(super) fn text(mut root: Command) -> String {
    root.build();
    let mut text = format!(
        "# Commands\n\n<!-- `{COMMAND}` writes this file from the code. -->\n\n{}\n\n",
        about(&root)
    );
    text += "| command | what it does |\n| --- | --- |\n";
    for command in commands(&root) {
        let name = command.get_name();
        let title = full_name(command);
        let anchor = title.replace(' ', "-");
        text += &format!("| [`{name}`](#{anchor}) | {} |\n", cell(&about(command)));
    }
    text += &notes(&root);
    text += "\n## Options of every command\n\n";
    text += &table(root.get_arguments().filter(|it| it.is_global_set()));
    for command in commands(&root) {
        describe(command, 2, &mut text);
    }
    text
}

fn describe(command: &Command, level: usize, text: &mut String) {
    let title = full_name(command);
    *text += &format!("\n{} {title}\n\n{}\n", "#".repeat(level), about(command));
    let below: Vec<&Command> = commands(command).collect();
    if below.is_empty() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim();
        *text += &format!("\n```text\n{usage}\n```\n");
    }
    let own = command.get_arguments().filter(|it| !it.is_global_set());
    let table = table(own);
    if !table.is_empty() {
        *text += &format!("\n{table}");
    }
    *text += &notes(command);
    for command in below {
        describe(command, level + 1, text);
    }
}

/// Returns the subcommands of a command, without `help`.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    let shown = |it: &&Command| it.get_name() != "help" && !it.is_hide_set();
    command.get_subcommands().filter(shown)
}

/// Returns the command as it is typed.
fn full_name(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    name.to_owned()
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    sentence(&about.map(ToString::to_string).unwrap_or_default())
}

/// Ends a text with a full stop, which clap removes.
fn sentence(text: &str) -> String {
    match text.ends_with(['.', '!', '?', ':']) || text.is_empty() {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

/// Returns the table of the arguments, or an empty text if there are none.
fn table<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut rows = String::new();
    for argument in arguments.filter(|it| is_own(it)) {
        let (help, default) = help(argument);
        let (name, help) = (name(argument), cell(&help));
        rows += &format!("| `{name}` | {} | {help} |\n", cell(&default));
    }
    match rows.is_empty() {
        true => rows,
        false => format!("| argument | default | meaning |\n| --- | --- | --- |\n{rows}"),
    }
}

/// Whether the argument is this program's own. Clap's own ones are the same in every program.
fn is_own(argument: &Arg) -> bool {
    let is_clap = matches!(
        argument.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    !is_clap && !argument.is_hide_set()
}

/// Returns the argument as it is typed: `-e, --execute <CODE>`, `<NAME>`, `[FILE]`.
fn name(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let option: Vec<String> = short.into_iter().chain(long).collect();
    let value = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or(
            argument.get_id().to_string().to_uppercase(),
            ToString::to_string,
        );
    match (option.is_empty(), argument.get_action().takes_values()) {
        (true, _) if argument.is_required_set() => format!("<{value}>"),
        (true, _) => format!("[{value}]"),
        (false, true) => format!("{} <{value}>", option.join(", ")),
        (false, false) => option.join(", "),
    }
}

/// Returns the meaning of the argument, and its default.
fn help(argument: &Arg) -> (String, String) {
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    // Defaults that clap cannot know are written at the end of the help.
    let (mut help, told) = match help.trim_end_matches('.').rsplit_once(" [default: ") {
        Some((help, told)) => (help.to_owned(), Some(told.trim_end_matches(']').to_owned())),
        None => (help, None),
    };
    help = sentence(&help);
    let values = argument.get_possible_values();
    if argument.get_action().takes_values() && !values.is_empty() {
        let values: Vec<String> = values
            .iter()
            .map(|it| format!("`{}`", it.get_name()))
            .collect();
        help += &format!(" One of {}.", values.join(", "));
    }
    let known = argument.get_default_values().first();
    let known = known
        .filter(|_| argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()));
    let variable = argument
        .get_env()
        .map(|name| format!("`{}`", name.to_string_lossy()));
    let parts: Vec<String> = variable.into_iter().chain(told.or(known)).collect();
    let default = match parts.is_empty() && argument.is_required_set() {
        true => "required".to_owned(),
        false => parts.join(", else "),
    };
    (help, default)
}

/// Returns the examples and the exit statuses from the command's help.
fn notes(command: &Command) -> String {
    let notes = command.get_after_long_help().or(command.get_after_help());
    match notes {
        Some(notes) => format!("\n```text\n{}\n```\n", notes.to_string().trim()),
        None => String::new(),
    }
}
