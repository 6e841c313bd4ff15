//! Tests of a person's mistakes. Each one gives a sentence that names the thing, the fault and the
//! correction. The exit status is defined, and nothing is left half-written.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use tavora_tests::binary::{Ended, end, host, run, run_with_input};

/// A folder with a KEK, an app and a designated vault.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join(".tavora")).expect("new");
    for arguments in [
        &["kek", "generate", "--out", ".tavora/kek"][..],
        &["app", "create", "shop"],
        &["vault", "create", "main"],
        &["vault", "designate", "main"],
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    }
    folder
}

#[track_caller]
fn refused(ended: &Ended, status: i32, says: &[&str]) {
    assert_eq!(ended.status, status, "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    // The first use of a component prints a notice.
    let is_notice = |line: &&str| line.contains("compiling a component that is new here");
    let message = ended.stderr.lines().filter(|line| !is_notice(line));
    let message = message.collect::<Vec<_>>().join("\n");
    assert!(
        message.starts_with("error: ") && message.lines().count() == 1,
        "not one sentence: {message}"
    );
    for part in says {
        assert!(message.contains(part), "{message} lacks {part:?}");
    }
}

fn secrets(folder: &Path) -> String {
    run(folder, &["secret", "list", "--json"]).stdout
}

#[test]
fn what_is_not_a_component_is_said_to_be_something_else() {
    let folder = folder();
    let core = wat::parse_str("(module (func (export \"run\")))").expect("valid");
    let component = wat::parse_str("(component (core module (func)))").expect("valid");
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty.wasm", b"", "empty"),
        (
            "page.wasm",
            b"<!doctype html><title>404</title>",
            "web page",
        ),
        ("script.wasm", b"return 1 + 1", "WebAssembly"),
        ("core.wasm", &core, "core WebAssembly module"),
        ("cut.wasm", &component[..component.len() - 3], "byte"),
    ];
    for (name, bytes, says) in cases {
        std::fs::write(folder.path().join(name), bytes).expect("writable");
        for arguments in [
            &["tool", "inspect", name][..],
            &["run", "--component", name],
        ] {
            refused(&run(folder.path(), arguments), 2, &[name, says]);
        }
        let toml = format!("[tools.mine]\ncomponent = {name:?}\n");
        std::fs::write(folder.path().join("bad.toml"), toml).expect("writable");
        refused(
            &run(folder.path(), &["tool", "list", "--config", "bad.toml"]),
            2,
            &["[tools.mine]", says],
        );
    }
}

#[test]
fn a_component_of_the_wrong_world_or_with_another_digest_is_refused() {
    let folder = folder();
    let component = wat::parse_str("(component)").expect("valid");
    std::fs::write(folder.path().join("none.wasm"), component).expect("writable");
    assert_eq!(
        run(folder.path(), &["tool", "inspect", "none.wasm"]).status,
        4
    );
    refused(
        &run(folder.path(), &["run", "--component", "none.wasm"]),
        2,
        &["none.wasm", "tavora:platform/agent"],
    );

    let other = format!("sha256:{}", "0".repeat(64));
    let toml = format!("[tools.mine]\ncomponent = \"none.wasm\"\ndigest = \"{other}\"\n");
    std::fs::write(folder.path().join("bad.toml"), toml).expect("writable");
    refused(
        &run(folder.path(), &["tool", "list", "--config", "bad.toml"]),
        2,
        &["[tools.mine]", &other, "digest"],
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let folder = folder();
    for (toml, says) in [
        (
            "[tools.mine]\n[tools.mine]\n",
            &["bad.toml", "duplicate key"][..],
        ),
        (
            "[egress]\nallow_private_orgins = []\n",
            &["line 2, column 1", "did you mean `allow_private_origins`?"],
        ),
        (
            "[tools.mine]\nsecrets = []\n",
            &["[tools.mine]", "neither `component` nor `http`"],
        ),
        (
            "[tools.mine]\ncomponent = \"absent.wasm\"\n",
            &["[tools.mine]", "cannot read", "absent.wasm"],
        ),
        (
            "[tools.brave-search]\ncomponent = \"x.wasm\"\n",
            &["[tools.brave-search]", "built in"],
        ),
        (
            "[tools.brave-search.config]\nbase_url = \"ftp://x\"\n",
            &["base_url"],
        ),
        ("listen = 1\n", &["unknown field `listen`"]),
    ] {
        std::fs::write(folder.path().join("bad.toml"), toml).expect("writable");
        let ended = run(folder.path(), &["tool", "list", "--config", "bad.toml"]);
        refused(&ended, 2, says);
    }
    refused(
        &run(folder.path(), &["tool", "list", "--config", "absent.toml"]),
        2,
        &["absent.toml"],
    );
}

#[test]
fn a_malformed_kek_is_refused_with_its_length_and_never_its_text() {
    let folder = folder();
    for (kek, says) in [
        ("c2hvcnQtc2VjcmV0LXRleHQ=", "32"),
        ("not-a-key-but-secret-text!", "26 characters"),
        ("file:///nothing/here", "/nothing/here"),
    ] {
        let output = host(folder.path())
            .args(["secret", "list"])
            .env("TAVORA_SECRET_KEK", kek)
            .output()
            .expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(says), "{kek}: {stderr}");
        assert!(
            !stderr.contains("secret-text") && !stderr.contains("c2hvcnQ"),
            "{stderr}"
        );
        assert_eq!(output.status.code(), Some(2), "{stderr}");
    }
}

#[test]
fn a_kek_that_is_no_text_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = folder();
    for variable in ["TAVORA_SECRET_KEK", "TAVORA_SECRET_KEK_PREVIOUS"] {
        let refused = host(folder.path())
            .args(["kek", "status"])
            .env(variable, OsStr::from_bytes(b"secret\xff\xfe"))
            .output()
            .expect("the binary starts");
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains(variable) && stderr.contains("is not text"),
            "{stderr}"
        );
        assert!(!stderr.contains("secret\u{fffd}"), "{stderr}");
    }
}

#[test]
fn an_empty_kek_is_as_good_as_none() {
    let folder = folder();
    for variable in ["TAVORA_SECRET_KEK", "TAVORA_SECRET_KEK_PREVIOUS"] {
        let output = host(folder.path())
            .args(["kek", "status"])
            .env(variable, "")
            .output()
            .expect("the binary starts");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.starts_with("ready"), "{variable}: {output:?}");
    }
}

#[test]
fn of_a_value_that_is_too_long_no_more_is_read_than_shows_it() {
    let folder = folder();
    let mut child = host(folder.path())
        .args(["secret", "put", "a"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let cut_off = stdin
        .write_all(&vec![b'x'; 8 << 20])
        .expect_err("not all of it");
    assert_eq!(cut_off.kind(), std::io::ErrorKind::BrokenPipe);
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("65536"));
}

#[test]
fn a_wrong_kek_names_the_one_that_is_needed_and_changes_nothing() {
    let folder = folder();
    assert_eq!(
        run_with_input(folder.path(), &["secret", "put", "a"], b"value-of-a").status,
        0
    );
    let before = secrets(folder.path());
    let needed =
        serde_json::from_str::<serde_json::Value>(&before).expect("JSON")[0]["kek_id"].clone();
    let other = run(folder.path(), &["kek", "generate"]).stdout;
    std::fs::write(folder.path().join("value"), "value-of-b").expect("writable");
    let output = host(folder.path())
        .args(["secret", "put", "b", "--from-file", "value"])
        .env("TAVORA_SECRET_KEK", other.trim())
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(needed.as_str().expect("text")), "{stderr}");
    assert_eq!(secrets(folder.path()), before);
}

#[test]
fn a_secret_or_name_that_cannot_be_is_refused_and_nothing_is_written() {
    let folder = folder();
    let path = folder.path();
    refused(
        &run_with_input(path, &["secret", "put", "a"], b""),
        2,
        &["empty"],
    );
    refused(
        &run_with_input(path, &["secret", "put", "a"], b"\n"),
        2,
        &["empty"],
    );
    refused(
        &run_with_input(path, &["secret", "put", "a/b"], b"x"),
        2,
        &["'/'"],
    );
    refused(
        &run_with_input(path, &["secret", "put", "a"], b"\xff\xfe\xfd"),
        2,
        &["UTF-8"],
    );
    refused(
        &run_with_input(path, &["secret", "put", "a"], &vec![b'x'; 65 * 1024]),
        2,
        &["65536"],
    );
    refused(
        &run_with_input(path, &["secret", "put", "a", "--vault", "none"], b"x"),
        2,
        &["none", "vault"],
    );
    refused(
        &run_with_input(path, &["secret", "put", "a", "--app", "none"], b"x"),
        2,
        &["none", "shop"],
    );
    refused(&run(path, &["vault", "create", "main"]), 2, &["main"]);
    refused(&run(path, &["app", "create", "shop"]), 2, &["shop"]);
    let past = "2020-01-01T00:00:00Z";
    let expired = ["key", "create", "ci", "--expires-at", past];
    refused(&run(path, &expired), 2, &[past, "later"]);
    assert_eq!(secrets(path).trim(), "[]");
}

#[test]
fn a_script_that_is_too_long_or_no_text_is_refused() {
    let folder = folder();
    let path = folder.path();
    refused(
        &run_with_input(path, &["run", "-"], &vec![b' '; 2 << 20]),
        3,
        &["limits.agent.max_code_bytes (1048576)"],
    );
    let not_ascii = "é".repeat(600_000);
    refused(
        &run_with_input(path, &["run", "-"], not_ascii.as_bytes()),
        3,
        &["limits.agent.max_code_bytes (1048576)"],
    );
    refused(
        &run_with_input(path, &["run", "-"], b"return '\xff'"),
        2,
        &["stdin", "UTF-8", "8"],
    );
}

#[test]
fn a_database_from_a_newer_version_or_of_something_else_is_left_alone() {
    let folder = folder();
    let database = folder.path().join(".tavora/tavora.db");
    let set_version = |version: u32| {
        let connection = rusqlite::Connection::open(&database).expect("it opens");
        connection
            .pragma_update(None, "user_version", version)
            .expect("writable");
    };
    set_version(9999);
    let before = std::fs::read(&database).expect("readable");
    refused(&run(folder.path(), &["secret", "list"]), 1, &["newer"]);
    assert_eq!(std::fs::read(&database).expect("readable"), before);

    std::fs::write(
        &database,
        b"this is no database, but a text that is long enough to be one",
    )
    .expect("writable");
    for extension in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(database.with_extension(extension));
    }
    refused(&run(folder.path(), &["secret", "list"]), 1, &["tavora.db"]);
}

#[test]
fn a_folder_without_data_is_said_to_be_empty() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    refused(
        &run(folder.path(), &["secret", "list"]),
        2,
        &["no database", "app create"],
    );
    assert!(!folder.path().join(".tavora").exists());
}

#[test]
fn a_folder_or_configuration_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let set_mode = |path: &str, mode| {
        let path = folder.path().join(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own");
    };
    std::fs::create_dir(folder.path().join(".tavora/cache")).expect("new");
    set_mode(".tavora/cache", 0o777);
    refused(
        &run(folder.path(), &["tool", "list"]),
        2,
        &["cache", "chmod go-w"],
    );
    set_mode(".tavora/cache", 0o700);
    set_mode(".tavora", 0o777);
    refused(
        &run(folder.path(), &["app", "list"]),
        2,
        &[".tavora", "chmod go-w"],
    );
    set_mode(".tavora", 0o700);
    std::fs::write(folder.path().join("tavora.toml"), "").expect("writable");
    for mode in [0o666, 0o646] {
        set_mode("tavora.toml", mode);
        for arguments in [
            &["app", "list"][..],
            &["app", "list", "--config", "tavora.toml"],
        ] {
            let ended = run(folder.path(), arguments);
            refused(&ended, 2, &["tavora.toml", "chmod go-w"]);
        }
    }
    set_mode("tavora.toml", 0o664);
    let told = run(folder.path(), &["app", "list"]);
    assert_eq!(told.status, 0, "{told:?}");
    assert!(
        told.stderr.contains("its group can write to this"),
        "{told:?}"
    );
    set_mode("tavora.toml", 0o644);
    let ended = run(folder.path(), &["app", "list"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
}

#[test]
fn a_folder_above_in_which_others_can_write_is_refused_and_a_groups_is_told_of() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let shared = folder.path().canonicalize().expect("it is there");
    let shared = shared.join("shared");
    let below = shared.join("below");
    std::fs::create_dir_all(below.join("agents")).expect("new");
    let component = wat::parse_str("(component)").expect("valid");
    std::fs::write(below.join("mine.wasm"), component).expect("writable");
    std::fs::write(below.join("token"), "0123456789abcdef0123456789abcdef").expect("writable");
    let set_mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&shared, mode).expect("our own");
    };
    let below = below.display();
    let words = format!(
        "the folder {} can be written by every user",
        shared.display()
    );
    let config = folder.path().join("other.toml");
    let with = |toml: &str, command: &[&str]| {
        std::fs::write(&config, toml).expect("writable");
        let config = config.display().to_string();
        let command = [command, &["--config", &config]].concat();
        [0o777, 0o1777, 0o775].map(|mode| {
            set_mode(mode);
            run(folder.path(), &command)
        })
    };
    let tool = format!("[tools.mine]\ncomponent = \"{below}/mine.wasm\"\n");
    let [open, sticky, _] = with(&tool, &["tool", "list"]);
    refused(&open, 2, &["[tools.mine]", &words, "chmod go-w"]);
    // The component itself can be read and has another fault.
    refused(&sticky, 2, &["[tools.mine]", "tavora:platform/tool"]);
    let agents = format!("[agents]\ndir = \"{below}/agents\"\n");
    let [open, sticky, group] = with(&agents, &["tool", "list"]);
    refused(&open, 2, &["[agents] dir", &words]);
    assert_eq!(
        (sticky.status, group.status),
        (0, 0),
        "{sticky:?} {group:?}"
    );
    let told = group.stderr.matches("its group can write to this folder");
    assert_eq!(told.count(), 1, "{group:?}");
    assert_eq!(sticky.stderr, "");

    let toml = format!("{below}/tavora.toml");
    std::fs::write(&toml, "").expect("writable");
    set_mode(0o777);
    let ended = run(folder.path(), &["app", "list", "--config", &toml]);
    refused(&ended, 2, &[&words]);
    let mut command = host(folder.path());
    command.args(["kek", "status"]);
    command.env("TAVORA_SECRET_KEK", format!("file://{below}/token"));
    refused(&end(command), 2, &["TAVORA_SECRET_KEK", &words]);
    set_mode(0o755);
    let ended = run(folder.path(), &["app", "list", "--config", &toml]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
}

#[test]
fn a_listed_component_that_others_can_write_is_refused_and_the_folder_of_agents_too() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let path = folder.path();
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own");
    };
    std::fs::write(
        path.join("mine.wasm"),
        wat::parse_str("(component)").expect("valid"),
    )
    .expect("writable");
    std::fs::create_dir(path.join("agents")).expect("new");
    let with = |toml: &str| {
        std::fs::write(path.join("tavora.toml"), toml).expect("writable");
        run(path, &["tool", "list"])
    };
    let tool = "[tools.mine]\ncomponent = \"mine.wasm\"\n";
    set_mode(&path.join("mine.wasm"), 0o666);
    refused(&with(tool), 2, &["[tools.mine]", "mine.wasm", "chmod go-w"]);
    // Other rights of the same file cause another error.
    set_mode(&path.join("mine.wasm"), 0o644);
    refused(&with(tool), 2, &["[tools.mine]", "tavora:platform/tool"]);
    std::fs::remove_file(path.join("mine.wasm")).expect("it is there");
    let whole = path.canonicalize().expect("it is there").join("mine.wasm");
    refused(
        &with(tool),
        2,
        &["[tools.mine]", &whole.display().to_string()],
    );
    nix::unistd::mkfifo(&path.join("mine.wasm"), nix::sys::stat::Mode::S_IRWXU).expect("new");
    refused(&with(tool), 2, &["[tools.mine]", "it is not a file"]);

    set_mode(&path.join("agents"), 0o777);
    refused(
        &with("[agents]\ndir = \"agents\"\n"),
        2,
        &[
            "[agents] dir",
            "agents can be written by every user",
            "chmod go-w",
        ],
    );
}

#[test]
fn restoring_what_is_no_file_ends_with_words() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("new");
    for (what, says) in [("pipe", "pipe is not a file"), (".tavora", "is not a file")] {
        let ended = run(folder.path(), &["restore", "--dry-run", what]);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
}

#[test]
fn a_value_may_come_from_another_program_and_what_is_odd_about_it_is_told() {
    let folder = folder();
    let put = |value: &str| {
        let mut command = std::process::Command::new("bash");
        command
            .current_dir(folder.path())
            .env_clear()
            .args([
                "-c",
                r#""$0" secret put TOK --from-file <(printf '%s' "$1")"#,
            ])
            .arg(tavora_tests::binary::built("tavora-host"))
            .arg(value);
        end(command)
    };
    let stored = put("sk-canary-1234567890");
    assert_eq!(stored.status, 0, "{stored:?}");
    assert_eq!(stored.stdout, "stored TOK in the vault main (version 1)\n");
    assert_eq!(stored.stderr, "");
    for (value, says) in [
        ("true", "has 4 bytes"),
        ("\u{feff}sk-canary-1234567890", "byte order mark"),
        (
            "sk-canary-1234567890\u{200b}",
            "invisible character (U+200B) at position 21",
        ),
        (" sk-canary-1234567890", "blanks or line ends around it"),
        ("Bearer sk-canary-1234567890", "\"Bearer \""),
        ("\"sk-canary-1234567890\"", "quotation marks"),
    ] {
        let stored = put(value);
        assert_eq!(stored.status, 0, "{stored:?}");
        assert!(
            stored
                .stdout
                .starts_with("replaced TOK in the vault main (version ")
        );
        let warned = stored.stderr.starts_with("warning: the value ");
        assert!(
            warned && stored.stderr.contains(says),
            "{value:?}: {stored:?}"
        );
        assert!(!stored.stderr.contains("canary"), "{stored:?}");
    }
}

#[test]
fn dev_makes_no_second_kek_for_data_that_has_one() {
    let folder = folder();
    assert_eq!(
        run_with_input(folder.path(), &["secret", "put", "a"], b"value-of-a").status,
        0
    );
    let kek = folder.path().join(".tavora/kek");
    std::fs::rename(&kek, folder.path().join("kept-elsewhere")).expect("our own");
    let ended = run(folder.path(), &["dev", "--listen", "127.0.0.1:0"]);
    refused(&ended, 2, &["1 secrets", "TAVORA_SECRET_KEK"]);
    assert!(!kek.exists());

    // Another key in its place is refused as well.
    assert_eq!(
        run(folder.path(), &["kek", "generate", "--out", ".tavora/kek"]).status,
        0
    );
    let ended = run(folder.path(), &["dev", "--listen", "127.0.0.1:0"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{ended:?}");
}

#[test]
fn a_kek_variable_that_is_no_text_is_refused_and_an_empty_one_is_none() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = folder();
    let with = |value: &OsStr| {
        let mut command = host(folder.path());
        command
            .args(["kek", "status"])
            .env("TAVORA_SECRET_KEK", value);
        command.output().expect("the binary starts")
    };
    let refused = with(OsStr::from_bytes(b"\xff\xfe"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("TAVORA_SECRET_KEK is not text"));
    assert!(String::from_utf8_lossy(&with(OsStr::new("")).stdout).starts_with("ready"));
}

#[test]
fn a_storage_url_or_its_password_is_refused_and_never_repeated() {
    let folder = folder();
    let with = |toml: &str, password: &str, arguments: &[&str]| {
        std::fs::write(folder.path().join("bad.toml"), toml).expect("writable");
        let mut command = host(folder.path());
        command.args(arguments).args(["--config", "bad.toml"]);
        command.env("TAVORA_STORAGE_PASSWORD", password);
        end(command)
    };
    let cases = [
        (
            "postgre://me:s3cret@db/vault",
            "",
            "did you mean postgres://?",
        ),
        (
            "mysql://me:s3cret@db/vault",
            "",
            "sqlite://PATH or postgres://",
        ),
        ("postgres://me:s3cret@db", "", "names no database"),
        (
            "postgres://me:s3cret@db/vault?sslmode=allow",
            "",
            "`sslmode`",
        ),
        (
            "postgres://me:s3cret@db/vault?sslrootcert=ca.pem",
            "",
            "absolute",
        ),
        (
            "postgres://me@db/vault?sslrootcert=/no/ca.pem",
            "",
            "cannot read /no/ca.pem",
        ),
        (
            "postgres://me:s3cret@db/vault",
            "s3cret",
            "postgres://me@db/vault has a password in its URL and another one in TAVORA_STORAGE_PASSWORD",
        ),
        (
            "postgres://me@db/vault",
            "file://s3cret",
            "file:///absolute/path",
        ),
        (
            "postgres://me@db/vault",
            "file:///no/password",
            "/no/password",
        ),
    ];
    for (url, password, says) in cases {
        let toml = format!("[storage]\nurl = {url:?}\n");
        for arguments in [
            &["secret", "list"][..],
            &["serve", "--listen", "127.0.0.1:0"],
        ] {
            let ended = with(&toml, password, arguments);
            let message = ended.stderr.lines().last().unwrap_or_default();
            assert_eq!(ended.status, 2, "{ended:?}");
            assert!(
                message.starts_with("error: ") && message.contains(says),
                "{ended:?}"
            );
            assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
        }
    }
}

#[test]
fn what_copies_files_says_that_a_server_has_its_own_tools() {
    let folder = folder();
    let toml = "[storage]\nurl = \"postgres://me:s3cret@localhost/vault\"\n";
    std::fs::write(folder.path().join("bad.toml"), toml).expect("writable");
    for arguments in [
        &["backup", "copy.db"][..],
        &["restore", "copy.db"],
        &["restore", "--dry-run", "copy.db"],
    ] {
        let ended = run(
            folder.path(),
            &[arguments, &["--config", "bad.toml"]].concat(),
        );
        refused(
            &ended,
            2,
            &[
                "postgres://me@localhost/vault",
                "pg_dump",
                "docs/postgres.md",
            ],
        );
        assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
    }
    assert!(!folder.path().join("copy.db").exists());
}
