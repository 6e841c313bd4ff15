//! The documentation names only what exists: keys with their defaults, files, tests, commands.
//!
//! People must check whether its sentences are true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tavora_host::config::{Config, ToolConfig};
use tavora_host::reference;

use super::workspace::root;

/// The tool in the example configuration that shows every key of a tool.
const EXAMPLE_TOOL: &str = "tools.weather";

/// The HTTP API in it that shows every key of an API.
const EXAMPLE_API: &str = "tools.github.http";

/// The tables of `[kek]`, of which there are none by default, each with its required keys.
const KEK_TABLES: &str = r#"
    [kek.aws_kms.NAME]
    key = "arn:aws:kms:region:1:key/1"
    [kek.transit.NAME]
    address = "https://localhost"
    key = "key"
    [kek.pkcs11.NAME]
    module = "module"
    token_label = "label"
    key_id = "00"
    pin = "env:PIN"
"#;

/// A section and key, with the default as `tavora.toml` would write it. `None` where there is no
/// default.
type Defaults = BTreeMap<String, String>;

#[test]
fn generated_files_are_what_the_code_says() {
    for reference::File { path, text } in reference::files() {
        let found = read(path);
        let differs = found
            .lines()
            .zip(text.lines())
            .find(|(old, new)| old != new);
        assert!(
            found == text,
            "{path} is not what the code says; `{}` writes it anew. The first lines that differ: {differs:#?}",
            reference::COMMAND
        );
    }
}

#[test]
fn the_example_configuration_is_the_defaults() {
    let text = read("tavora.example.toml");
    let defaults = format!("{:#?}", Config::default());
    let as_it_is = Config::parse(&text).expect("the example is valid");
    assert_eq!(format!("{as_it_is:#?}"), defaults);
    let shown = Config::parse(&uncommented(&text, false)).expect("the defaults are valid");
    assert_eq!(format!("{shown:#?}"), defaults);

    let all = Config::parse(&uncommented(&text, true)).expect("the examples are valid");
    assert_eq!(all.tools.len(), 3, "{:?}", all.tools);
    assert!(all.storage.url.is_some() && all.egress.extra_ca_file.is_some());
    let kek = &all.kek;
    assert_eq!(
        (kek.aws_kms.len(), kek.transit.len(), kek.pkcs11.len()),
        (1, 2, 1)
    );
}

#[test]
fn every_key_is_in_the_example_configuration() {
    let expected: BTreeSet<String> = defaults()
        .into_keys()
        .chain(tool_keys(EXAMPLE_TOOL).into_keys())
        .filter(|key| *key != format!("{EXAMPLE_TOOL}.http"))
        .chain(api_keys(EXAMPLE_API))
        .chain(kek_keys("main").into_keys())
        .collect();
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in uncommented(&read("tavora.example.toml"), true).lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.split(']').next())
        {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.insert(format!("{section}.{key}"));
        }
    }
    let is_example = |key: &str| key.starts_with(EXAMPLE_TOOL) || key.starts_with(EXAMPLE_API);
    found.retain(|key| !key.starts_with("tools.") || is_example(key));
    // A second table of a kind shows the other half of its keys.
    let found: BTreeSet<String> = found
        .into_iter()
        .map(|key| key.replace("kek.transit.next.", "kek.transit.main."))
        // Each secret has a table of its own.
        .map(|key| match key.split_once(".credentials.") {
            Some((tool, _)) => format!("{tool}.credentials"),
            None => key,
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn links_lead_to_files() {
    let mut links = 0;
    for file in files_ending_in(".md") {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        for target in links_of(&text) {
            links += 1;
            let path = target.split('#').next().expect("a split has a first part");
            let there = file.parent().expect("a file is in a folder").join(path);
            assert!(
                there.exists(),
                "{} links to {target}, which is not there",
                file.display()
            );
        }
    }
    assert!(links >= 20, "only {links} links were found");
}

#[test]
fn tests_that_security_md_names_are_there() {
    let sources: Vec<String> = files_ending_in(".rs")
        .iter()
        .map(|file| (file, std::fs::read_to_string(file).expect("UTF-8")))
        .filter(|(file, text)| {
            let in_suite = file.components().any(|part| part.as_os_str() == "suites");
            in_suite || text.contains("#[test]") || text.contains("#[tokio::test")
        })
        .map(|(_, text)| text)
        .collect();
    let mut named = 0;
    // A list item that begins with a name in code names a test.
    for line in read("SECURITY.md").lines() {
        let Some((name, _)) = line
            .trim_start()
            .strip_prefix("- `")
            .and_then(|rest| rest.split_once('`'))
        else {
            continue;
        };
        named += 1;
        let function = format!("fn {name}(");
        assert!(
            sources.iter().any(|text| text.contains(&function)),
            "SECURITY.md names {name}, and there is no such test"
        );
    }
    assert!(named >= 50, "only {named} tests are named");
}

#[test]
fn the_tasks_of_the_documents_are_there() {
    let tasks = read("xtask/src/main.rs");
    let rows = table(
        &read("CONTRIBUTING.md"),
        "| command | what it does |\n| --- | --- |\n| `cargo xtask",
    );
    for row in &rows {
        let task = row[0]
            .trim_matches(['`', ' '])
            .strip_prefix("cargo xtask ")
            .expect("the table is of tasks");
        assert!(
            tasks.contains(&format!("\"{task}\" => ")),
            "there is no task {task}"
        );
    }
    assert!(rows.len() >= 5, "only {} tasks are named", rows.len());
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The example configuration without the comment signs before its defaults, and on request before
/// its examples.
fn uncommented(text: &str, examples: bool) -> String {
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n") {
        let is_wanted = examples || !paragraph.contains("For example:");
        for line in paragraph.lines() {
            let setting = line
                .strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
            lines.push(setting.filter(|_| is_wanted).unwrap_or(line));
        }
    }
    lines.join("\n")
}

/// Every key but those of tools.
fn defaults() -> Defaults {
    let mut defaults = keys(&format!("{:#?}", Config::default()), "");
    let tools = defaults.remove("tools");
    assert_eq!(tools.as_deref(), Some("{}"), "there are tools by default");
    for kind in ["aws_kms", "transit", "pkcs11"] {
        let tables = defaults.remove(&format!("kek.{kind}"));
        assert_eq!(tables.as_deref(), Some("{}"), "there are keys by default");
    }
    assert!(defaults.len() > 30, "{defaults:?}");
    defaults
}

/// Every key of a tool.
fn tool_keys(section: &str) -> Defaults {
    keys(&format!("{:#?}", ToolConfig::default()), section)
}

/// The texts between backticks.
fn code_spans(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Every key of an HTTP API, as the parser of the configuration names them.
fn api_keys(section: &str) -> BTreeSet<String> {
    let error = Config::parse(&format!("[{section}]\nnonsense = 1")).expect_err("unknown");
    let keys = code_spans(&error).into_iter().skip(1);
    keys.map(|key| format!("{section}.{key}")).collect()
}

/// Every key of each kind of KEK table, under this name.
fn kek_keys(name: &str) -> Defaults {
    let kek = Config::parse(KEK_TABLES).expect("valid").kek;
    let table = |kind: &str, debug: String| keys(&debug, &format!("kek.{kind}.{name}"));
    let mut all = table("aws_kms", format!("{:#?}", kek.aws_kms["NAME"]));
    all.extend(table("transit", format!("{:#?}", kek.transit["NAME"])));
    all.extend(table("pkcs11", format!("{:#?}", kek.pkcs11["NAME"])));
    all
}

/// The fields of structs in the indented form of `Debug`.
fn keys(debug: &str, section: &str) -> Defaults {
    let mut open: Vec<&str> = Some(section)
        .filter(|name| !name.is_empty())
        .into_iter()
        .collect();
    let mut found = Defaults::new();
    for line in debug.lines().skip(1).map(str::trim) {
        match line.split_once(": ") {
            Some((key, value)) if value.ends_with(" {") => open.push(key),
            Some((key, value)) => {
                let path = [&open[..], &[key]].concat().join(".");
                found.insert(path, value.trim_end_matches(',').to_owned());
            }
            None => drop(open.pop()),
        }
    }
    found
}

/// The first two columns of the table that begins with `start`, without its two header lines.
fn table(text: &str, start: &str) -> Vec<[String; 2]> {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("there is no table {start:?}"));
    let rows: Vec<_> = format!("{start}{rest}")
        .lines()
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let mut columns = line
                .trim_matches(['|', ' '])
                .splitn(2, " | ")
                .map(str::to_owned);
            [(); 2].map(|()| {
                columns
                    .next()
                    .unwrap_or_else(|| panic!("half a row: {line}"))
            })
        })
        .collect();
    assert!(!rows.is_empty(), "the table {start:?} is empty");
    rows
}

/// The relative targets of a Markdown text's links, outside code blocks.
fn links_of(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let targets = line
            .split("](")
            .skip(1)
            .filter(|_| !is_code)
            .filter_map(|rest| rest.split(')').next());
        found.extend(
            targets
                .filter(|target| !target.contains("://") && !target.starts_with('#'))
                .map(str::to_owned),
        );
    }
    found
}

/// All files of the repository with this ending, except built and hidden ones.
fn files_ending_in(ending: &str) -> Vec<PathBuf> {
    fn search(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("UTF-8");
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.')
            {
                search(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    search(&root(), ending, &mut found);
    found
}
