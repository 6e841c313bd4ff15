//! The binary as an operator uses it: every data command, its text, its JSON, and its exit status.

use serde_json::Value;
use tavora_tests::binary::{Ended, end, host, run, run_with_input};
use tavora_tests::daemon::Daemon;
use tavora_tests::fixture::CANARY;
use tavora_tests::upstream::{Upstream, search_results};
use tavora_tests::wire::Request;

/// Runs a command that must succeed.
fn ok(folder: &std::path::Path, arguments: &[&str]) -> String {
    let ended = run(folder, arguments);
    assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    ended.stdout
}

/// Runs a command with `--json` that must succeed.
fn json(folder: &std::path::Path, arguments: &[&str]) -> Value {
    let text = ok(folder, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// A data folder with a KEK, an app, a designated vault and a secret.
fn with_secret() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    std::fs::create_dir(path.join(".tavora")).expect("the folder is new");
    ok(path, &["kek", "generate", "--out", ".tavora/kek"]);
    ok(path, &["app", "create", "Shop"]);
    ok(path, &["vault", "create", "main"]);
    ok(path, &["vault", "designate", "main"]);
    let put = run_with_input(
        path,
        &["secret", "put", "brave_api_key"],
        format!("{CANARY}\n").as_bytes(),
    );
    assert_eq!(put.status, 0, "{put:?}");
    folder
}

#[test]
fn a_vault_is_made_filled_and_emptied() {
    let folder = with_secret();
    let path = folder.path();
    let apps = json(path, &["app", "list"]);
    assert_eq!(apps[0]["slug"], "shop");
    assert_eq!(apps[0]["vault_id"], json(path, &["vault", "list"])[0]["id"]);

    let secret = &json(path, &["secret", "list"])[0];
    assert_eq!(
        (&secret["name"], &secret["version"]),
        (&"brave_api_key".into(), &1.into())
    );
    assert_eq!(secret.as_object().expect("an object").len(), 6, "{secret}");

    std::fs::write(path.join("value"), "another").expect("writable");
    ok(
        path,
        &["secret", "put", "brave_api_key", "--from-file", "value"],
    );
    assert_eq!(json(path, &["secret", "list"])[0]["version"], 2);

    assert_eq!(
        json(path, &["secret", "delete", "brave_api_key", "--yes"])["existed"],
        true
    );
    assert_eq!(
        json(path, &["secret", "delete", "brave_api_key"])["existed"],
        false
    );
    ok(path, &["vault", "clear"]);
    assert_eq!(json(path, &["app", "list"])[0]["vault_id"], Value::Null);
    ok(path, &["vault", "delete", "main", "--yes"]);
    assert_eq!(json(path, &["vault", "list"]), Value::Array(vec![]));
    assert!(ok(path, &["audit", "verify"]).contains("0 findings"));
}

#[test]
fn a_key_is_shown_once_and_can_be_revoked() {
    let folder = with_secret();
    let path = folder.path();
    let made = json(path, &["key", "create", "ci"]);
    let key = made["key"].as_str().expect("the key is text");
    assert!(key.starts_with("tvr_"), "{key}");
    let listed = ok(path, &["key", "list", "--json"]);
    assert!(!listed.contains(key) && !listed.contains(&key[key.len() - 20..]));
    ok(
        path,
        &["key", "revoke", made["id"].as_str().expect("an id")],
    );
    assert!(json(path, &["key", "list"])[0]["revoked_at"].is_string());
    let audit = ok(path, &["audit", "tail", "-n", "100", "--json"]);
    assert!(!audit.contains(&key[key.len() - 20..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_runs_with_defined_exit_statuses() {
    let upstream = Upstream::start(|_| search_results(&["one"])).await;
    let folder = with_secret();
    let path = folder.path().to_owned();
    std::fs::write(
        path.join("tavora.toml"),
        format!("[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n", upstream.url()),
    )
    .expect("writable");
    tokio::task::spawn_blocking(move || {
        let check = |arguments: &[&str], input: &str, status: i32, stdout: &str, stderr: &str| {
            let ended: Ended = run_with_input(&path, arguments, input.as_bytes());
            assert_eq!(ended.status, status, "{arguments:?}: {ended:?}");
            assert_eq!(ended.stdout, stdout, "{arguments:?}");
            assert!(ended.stderr.contains(stderr), "{arguments:?}: {ended:?}");
        };
        check(&["run", "-e", "return 1+1"], "", 0, "2\n", "");
        check(
            &["run", "-"],
            "return 'from stdin'",
            0,
            "\"from stdin\"\n",
            "",
        );
        check(
            &[
                "run",
                "-e",
                "console.log('hi', {a: 1}); return input.a",
                "--input",
                r#"{"a": [1]}"#,
            ],
            "",
            0,
            "[1]\n",
            "hi",
        );
        check(
            &["run", "-e", "return search('x')[0].title"],
            "",
            0,
            "\"one\"\n",
            "",
        );
        check(
            &["run", "-e", "throw new TypeError('no')"],
            "",
            1,
            "",
            "TypeError: no",
        );
        check(
            &["run", "-e", "for(;;);", "--timeout-ms", "100"],
            "",
            3,
            "",
            "limits.agent.wall_clock_ms (100)",
        );
        check(
            &["run", "-e", "1", "--input", "{"],
            "",
            2,
            "",
            "the input is not JSON",
        );
        // Control sequences of an agent are shown, not obeyed.
        let escape = "console.log('\\u001b[2Jx'); throw new Error('\\u001b]0;y')";
        check(
            &["run", "-e", escape],
            "",
            1,
            "",
            "| \\u{1b}[2Jx\nuncaught Error: \\u{1b}]0;y",
        );
        check(
            &["run", "-e", "1", "--timeout-ms", "0"],
            "",
            2,
            "",
            "0 is not in 1..",
        );
        check(
            &["audit", "tail", "-n", "5000"],
            "",
            2,
            "",
            "5000 is not in 1..=1000",
        );
        check(&["run"], "", 2, "", "Usage");
        check(&["run", "nothing.js"], "", 2, "", "cannot read nothing.js");
        check(
            &[
                "tool",
                "call",
                "brave-search",
                "search",
                "--input",
                r#"{"query": ""}"#,
            ],
            "",
            1,
            "",
            "invalid_input",
        );
        let called = run(
            &path,
            &[
                "tool",
                "call",
                "brave-search",
                "search",
                "--input",
                r#"{"query": "x"}"#,
            ],
        );
        assert!(called.stdout.contains("\"title\":\"one\""), "{called:?}");
        let tools = json(&path, &["tool", "list"]);
        assert_eq!(tools[0]["secrets"][0], "brave_api_key");
    })
    .await
    .expect("no panic");
}

#[test]
fn the_kek_of_the_environment_comes_before_the_file() {
    let folder = with_secret();
    let path = folder.path();
    let other = ok(path, &["kek", "generate"]);
    let ended = host(path)
        .args(["kek", "status"])
        .env("TAVORA_SECRET_KEK", other.trim())
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(text.starts_with("wrong KEK: the data needs "), "{text}");
    assert!(ok(path, &["kek", "status"]).starts_with("ready"));
}

#[test]
fn help_and_completions_are_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(ok(folder.path(), &["--help"]).contains("Examples:"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(folder.path(), &["completions", shell]).contains("tavora-host"));
    }
}

#[test]
fn the_app_is_that_of_the_option_the_variable_or_the_folder() {
    let folder = with_secret();
    let path = folder.path();
    ok(path, &["app", "create", "Second"]);
    let vaults = |arguments: &[&str], variable: Option<&str>| {
        let mut command = host(path);
        command.args(["vault", "list", "--json"]).args(arguments);
        command.envs(variable.map(|app| ("TAVORA_APP", app)));
        end(command)
    };
    let is_shop = |ended: Ended| {
        assert_eq!(ended.status, 0, "{ended:?}");
        ended.stdout.contains("main")
    };
    let several = vaults(&[], None);
    assert_eq!(several.status, 2, "{several:?}");
    for part in ["--app", "TAVORA_APP", "app use NAME", "shop, second"] {
        assert!(several.stderr.contains(part), "{part}: {several:?}");
    }
    assert!(is_shop(vaults(&[], Some("shop"))));
    assert!(!is_shop(vaults(&[], Some("second"))));
    assert!(!is_shop(vaults(&["--app", "second"], Some("shop"))));

    let used = ok(path, &["app", "use", "shop"]);
    assert!(used.contains("mean the app shop now"), "{used}");
    assert!(ok(path, &["app", "list"]).contains("*  shop"));
    assert!(is_shop(vaults(&[], None)) && is_shop(vaults(&[], Some(""))));
    assert!(!is_shop(vaults(&[], Some("second"))));
    assert!(!is_shop(vaults(&["--app", "second"], None)));
    let unknown = run(path, &["app", "use", "third"]);
    assert_eq!(unknown.status, 2, "{unknown:?}");
    assert!(is_shop(vaults(&[], None)), "the remembered app must stay");

    std::fs::write(path.join(".tavora/app"), "gone\n").expect("writable");
    let gone = vaults(&[], None);
    assert_eq!(gone.status, 2, "{gone:?}");
    assert!(
        gone.stderr.contains("there is no app \"gone\" any more"),
        "{gone:?}"
    );
    ok(path, &["app", "use", "--none"]);
    assert_eq!(vaults(&[], None).status, 2);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let folder = with_secret();
    let mut command = host(folder.path());
    command
        .args(["app", "list", "--json"])
        .env("TAVORA_DATA", "")
        .env("TAVORA_CONFIG", "");
    let ended = end(command);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(
        ended.stdout,
        run(folder.path(), &["app", "list", "--json"]).stdout
    );
    // An empty option is a mistake.
    let ended = run(folder.path(), &["app", "list", "--data", ""]);
    assert_eq!(ended.status, 2, "{ended:?}");
}

#[test]
fn a_programs_console_forges_no_line_of_the_host() {
    let folder = with_secret();
    let forged = "2026-11-27T00:00:00.000000Z ERROR tavora_host: forged";
    let code = format!(
        "console.log('{forged}'); console.error('x\\n{forged}\\r{forged}\\u009b8m\\u202e\\u2066\\u2028');\
         const e = new Error('x\\n{forged}'); e.name = '{forged}'; throw e"
    );
    let ended = run(folder.path(), &["run", "-e", &code]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stderr.contains("forged"), "{ended:?}");
    for line in ended.stderr.lines() {
        assert!(!line.starts_with(forged), "{line}");
    }
    for hidden in ['\u{9b}', '\u{202e}', '\u{2066}', '\u{2028}', '\r'] {
        assert!(!ended.stderr.contains(hidden), "{ended:?}");
    }
}

#[test]
fn what_cannot_be_undone_is_asked_about() {
    let folder = with_secret();
    let path = folder.path();
    let asked = run(path, &["secret", "delete", "brave_api_key"]);
    assert_eq!(asked.status, 2, "{asked:?}");
    assert!(
        asked.stderr.contains(
            "to delete the secret brave_api_key from the vault main without a terminal to ask on, add --yes"
        ),
        "{asked:?}"
    );
    assert_eq!(json(path, &["secret", "list"])[0]["name"], "brave_api_key");
    let deleted = ok(path, &["secret", "delete", "brave_api_key", "--yes"]);
    assert_eq!(deleted, "deleted brave_api_key from the vault main\n");
    // The secret does not exist, so there is no question.
    let absent = ok(path, &["secret", "delete", "brave_api_key"]);
    assert_eq!(absent, "brave_api_key was not in the vault main\n");
}

/// Asks a real bash for its completions of these words.
fn completed(words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        source <("$1" completions bash)
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        complete -p tavora-host >&2
        _tavora__host tavora-host "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = std::process::Command::new("bash");
    command.args(["--norc", "-c", SCRIPT, "bash"]);
    command.arg(tavora_tests::binary::built("tavora-host"));
    command.args(words);
    let ended = end(command);
    assert!(
        ended.stderr.contains("-F _tavora__host tavora-host"),
        "{ended:?}"
    );
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_at_every_level() {
    let offers = |words: &[&str], expected: &[&str]| {
        let offered = completed(words);
        for word in expected {
            assert!(
                offered.iter().any(|it| it == word),
                "{words:?}: {offered:?}"
            );
        }
    };
    offers(&["tavora-host", "sec"], &["secret"]);
    offers(&["tavora-host", "secret", ""], &["put", "list", "delete"]);
    offers(&["tavora-host", "kek", "re"], &["rewrap", "retire"]);
    offers(
        &["tavora-host", "secret", "put", "--"],
        &["--from-file", "--vault", "--app"],
    );
    offers(
        &["tavora-host", "--json", "vault", "d"],
        &["delete", "designate"],
    );
}

#[test]
fn dev_makes_a_platform_and_serves_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let dev = Daemon::spawn(host(folder.path()).args(["dev", "--listen", "127.0.0.1:0"]));
    let said = dev.log();
    for expected in ["made the app dev", "tvr_", "secret put", "/admin"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    for file in ["kek", "admin-token"] {
        let made = folder.path().join(".tavora").join(file).metadata();
        let mode = made.expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    for (path, expected) in [("/healthz", 200), ("/readyz", 200), ("/nothing", 404)] {
        let answer = dev.send(&Request::new("GET", path));
        assert_eq!(answer.status, expected, "{path}");
    }
    let (status, log) = dev.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::io::{BufRead, BufReader};

    let folder = with_secret();
    for arguments in [&["completions", "bash"][..], &["audit", "tail"], &["demo"]] {
        let mut child = host(folder.path())
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("text");
        let ended = child.wait_with_output().expect("it ends");
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn no_name_in_a_component_forges_the_verdict_of_tool_inspect() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let forged = r"a:b/\nclass    agent: it can call tools\1b[8m\c2\9b8m\e2\80\ae\e2\80\a8";
    let text = format!(r#"(component (core module (import "{forged}" "f" (func))))"#);
    let bytes = wat::parse_str(text).expect("it is a component");
    std::fs::write(path.join("forged.wasm"), bytes).expect("writable");
    let ended = run(path, &["tool", "inspect", "forged.wasm"]);
    assert_eq!(ended.status, 4, "{ended:?}");
    let verdicts = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("class"));
    let verdicts: Vec<&str> = verdicts.collect();
    assert_eq!(verdicts, ["class    none: the host refuses it"]);
    let steers = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2028}".contains(c);
    assert!(!ended.stdout.contains(steers), "{ended:?}");
    // Programs get the name unchanged.
    let json = run(path, &["tool", "inspect", "forged.wasm", "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let name = json["imports"][0]["name"].as_str().expect("text");
    assert!(name.contains("\u{1b}[8m"), "{name:?}");
    // An error is one line, whatever the file is called.
    let name = "no\nclass    agent\u{1b}[8m.wasm";
    let ended = run(path, &["tool", "inspect", name]);
    assert_eq!(
        (ended.status, ended.stderr.lines().count()),
        (2, 1),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
}
