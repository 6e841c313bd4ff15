//! Snapshots of what people and programs rely on: the OpenAPI document, the help of every command,
//! the metrics. For an intended change, `cargo insta accept` (or `INSTA_UPDATE=always` for one run
//! of the test) takes the new one, and the commit shows the difference.

use tavora_tests::binary::run;
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;
use tempfile::TempDir;

#[test]
fn the_openapi_document_is_as_it_was() {
    let serving = Serving::start("");
    let document = serving.send(&Request::new("GET", "/openapi.json")).json();
    let text = serde_json::to_string_pretty(&document).expect("it is JSON");
    insta::assert_snapshot!(text);
}

#[test]
fn the_metrics_are_as_they_were() {
    let serving = Serving::start("");
    let text = serving.send(&Request::new("GET", "/metrics")).text();
    let described: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    insta::assert_snapshot!(described.join("\n"));
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let folder = TempDir::new().expect("there is room");
    let mut texts = Vec::new();
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(command) = commands.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ended = run(folder.path(), &arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {}", ended.stderr);
        let mut below: Vec<_> = subcommands(&ended.stdout)
            .map(|name| [command.as_slice(), &[name.to_owned()]].concat())
            .collect();
        below.reverse();
        commands.extend(below);
        texts.push(format!(
            "$ tavora-host {}\n{}",
            arguments.join(" "),
            ended.stdout
        ));
    }
    assert!(texts.len() > 20, "only {} commands have help", texts.len());
    insta::assert_snapshot!(texts.join("\n"));
}

/// The names under `Commands:` in a help text.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = lines.take_while(|line| !line.is_empty());
    // A continued line is indented further.
    named
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
}
