//! `tavora-host migrate` for an operator who outgrows one machine: to PostgreSQL and back, its
//! refusals, and what remains when it is killed. The vault's suite tests what arrives, row by row.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tavora_tests::binary::{Ended, end, host};
use tavora_tests::eventually::wait_until;
use tavora_tests::postgres::{Database, PASSWORD, PASSWORD_IN_URL, Postgres};

const SQLITE: &str = "sqlite://.tavora/tavora.db";

/// A data folder with an app, a vault and a secret.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.ok(&["kek", "generate", "--out", "key"]);
        folder.ok(&["app", "create", "Shop"]);
        folder.ok(&["vault", "create", "main"]);
        folder.ok(&["vault", "designate", "main"]);
        let mut put = folder.command(&["secret", "put", "brave_api_key"]);
        let mut child = put
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"value").unwrap();
        assert!(child.wait().unwrap().success());
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = host(self.path());
        let kek = format!("file://{}", self.path().join("key").display());
        command
            .args(arguments)
            .env("TAVORA_SECRET_KEK", kek)
            .env("TAVORA_STORAGE_PASSWORD", PASSWORD);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        end(self.command(arguments))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let ended = end({
            let mut command = self.command(arguments);
            if arguments.contains(&"generate") {
                command.env_remove("TAVORA_SECRET_KEK");
            }
            command
        });
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Adds more secrets than one batch moves. The audit does not know them.
    fn fill(&self) {
        let raw = rusqlite::Connection::open(self.path().join(".tavora/tavora.db")).unwrap();
        raw.execute(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 60000)
            INSERT INTO secrets SELECT vault_id, 'N' || n, 1, kek_id, n, n, wrapped, randomblob(200)
            FROM number, (SELECT * FROM secrets LIMIT 1)",
            [],
        )
        .unwrap();
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.path().join(".tavora/tavora.db")).unwrap()
    }
}

fn url(database: &Database) -> String {
    database.url().replace(&format!(":{PASSWORD_IN_URL}"), "")
}

/// Replaces hashes and the database's address, which differ each time.
fn redacted(text: &str, url: &str) -> String {
    let hash = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines = text.replace(url, "URL");
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((rest, last)) if hash(last) => format!("{rest} HASH"),
        _ => line.to_owned(),
    };
    lines.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_is_surveyed_moved_used_and_moved_back() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (folder, database) = (Folder::new(), postgres.database());
    let (url, before) = (url(&database), folder.content());
    let there = ["migrate", "--from", SQLITE, "--to", &url];

    let said = folder.ok(&[&there[..], &["--dry-run"]].concat());
    assert_eq!(
        redacted(&said, &url),
        "sqlite://.tavora/tavora.db can be moved to URL, which is empty; nothing was changed

TABLE         ROWS
teams         1
apps          1
api_keys      0
vaults        1
designations  1
keks          1
audit         5
secrets       1"
    );
    assert_eq!(database.query("SELECT to_regclass('audit') IS NULL"), "t");

    let said = folder.ok(&there);
    assert_eq!(
        redacted(&said, &url),
        "moved sqlite://.tavora/tavora.db to URL; both hold the same

TABLE         ROWS  SHA-256
teams         1     HASH
apps          1     HASH
api_keys      0     HASH
vaults        1     HASH
designations  1     HASH
keks          1     HASH
audit         5     HASH
secrets       1     HASH

the audit was checked after the move: 5 entries came along, 0 findings of before, 0 new ones
next: [storage] url = \"URL\" in tavora.toml of every host, with the same KEKs; keep the source until they run"
    );
    assert_eq!(folder.content(), before);

    let refusal = folder.run(&there);
    assert_eq!(
        (refusal.status, &*refusal.stderr),
        (
            2,
            "error: the target is not empty: it holds 1 app, 1 vault, 1 designation, 1 KEK, 6 audit entries, 1 secret; choose an empty one\n"
        )
    );

    // A host with this configuration finds all the data.
    let config = format!("[storage]\nurl = {url:?}\n[storage.postgres]\nhost_name = \"web\"\n");
    fs::write(folder.path().join("tavora.toml"), config).unwrap();
    assert!(folder.ok(&["secret", "list"]).contains("brave_api_key"));
    assert!(folder.ok(&["kek", "verify"]).contains("all 1 secrets open"));
    let tail: Value = serde_json::from_str(&folder.ok(&["audit", "tail", "--json"])).unwrap();
    let moved = tail.as_array().unwrap().last().unwrap();
    assert_eq!(moved["action"], "platform.moved");
    assert_eq!(moved["metadata"]["entries"], 5);
    folder.ok(&["vault", "create", "second"]);
    fs::remove_file(folder.path().join("tavora.toml")).unwrap();

    let back = [
        "migrate",
        "--from",
        &url,
        "--to",
        "sqlite://back.db",
        "--json",
    ];
    let said: Value = serde_json::from_str(&folder.ok(&back)).unwrap();
    assert_eq!(said["audit"]["findings_total"], 0);
    assert_eq!(said["new_findings"], Value::Array(Vec::new()));
    fs::write(
        folder.path().join("tavora.toml"),
        "[storage]\nurl = \"sqlite://back.db\"\n",
    )
    .unwrap();
    assert!(folder.ok(&["vault", "list"]).contains("second"));
    assert!(folder.ok(&["audit", "verify"]).contains(" 0 findings"));
    assert!(folder.ok(&["kek", "verify"]).contains("all 1 secrets open"));
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence() {
    let folder = Folder::new();
    let before = folder.content();
    let nowhere = "postgres://tavora@127.0.0.1:1/vault";
    let with_password = format!("postgres://tavora:{PASSWORD_IN_URL}@127.0.0.1:1/vault");
    for (from, to, status, says) in [
        (SQLITE, SQLITE, 2, "--from and --to name the same database"),
        (
            SQLITE,
            "sqlite://.tavora/../.tavora/tavora.db",
            2,
            "--from and --to name the same database",
        ),
        (
            nowhere,
            nowhere,
            2,
            "--from and --to name the same database",
        ),
        (
            "sqlite://none.db",
            nowhere,
            2,
            "there is no database at none.db",
        ),
        (
            SQLITE,
            nowhere,
            1,
            "the target does not take the data, and nothing was moved: the database cannot be reached (Connection refused (os error 111)); check that its server runs, and the host and port in the storage URL",
        ),
        (
            nowhere,
            "sqlite://new.db",
            1,
            "the source cannot be moved, and nothing was changed: the database cannot be reached (Connection refused (os error 111)); check that its server runs, and the host and port in the storage URL",
        ),
        (
            SQLITE,
            "postgre://tavora@127.0.0.1/vault",
            2,
            "--to: a storage URL must read sqlite://PATH or postgres://USER@HOST:PORT/DATABASE; did you mean postgres://?",
        ),
        (
            &with_password,
            "sqlite://new.db",
            2,
            "--from: other users of this machine can see a password in an argument; take it out of the URL, and set TAVORA_STORAGE_PASSWORD to it or to file:///path of a file with it",
        ),
    ] {
        for dry_run in [&[][..], &["--dry-run"]] {
            let arguments = [&["migrate", "--from", from, "--to", to], dry_run].concat();
            let ended = folder.run(&arguments);
            assert_eq!(ended.stderr, format!("error: {says}\n"), "{arguments:?}");
            assert_eq!(
                (ended.status, &*ended.stdout),
                (status, ""),
                "{arguments:?}"
            );
        }
    }
    assert!(!folder.path().join("new.db").exists());
    assert_eq!(folder.content(), before);
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (folder, database) = (Folder::new(), postgres.database());
    let mut command = folder.command(&["migrate", "--from", SQLITE, "--to", &url(&database)]);
    command
        .env("TAVORA_STORAGE_PASSWORD", "wr0ng")
        .env("RUST_LOG", "trace");
    let ended = end(command);
    assert_eq!(ended.status, 1);
    let says = "and nothing was moved: the database server refuses the user";
    assert!(ended.stderr.contains(says), "{ended:?}");
    assert!(!format!("{ended:?}").contains("wr0ng"));
}

/// Moves until `has_begun` returns true.
fn begun(folder: &Folder, to: &str, has_begun: impl Fn() -> bool) -> Child {
    let mut command = folder.command(&["migrate", "--from", SQLITE, "--to", to]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !has_begun() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the move ended too early"
        );
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// Checks that an observer of `to` sees nothing of a move that was killed or stopped, and that the
/// next move succeeds.
fn interrupted(
    to: &str,
    folder: &Folder,
    has_begun: impl Fn() -> bool,
    is_empty: impl Fn() -> bool,
) {
    folder.fill();
    // The first process that closes the database takes the log in.
    folder.run(&["app", "list"]);
    let before = folder.content();
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let child = begun(folder, to, &has_begun);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        if signal == Signal::SIGINT {
            assert_eq!(ended.status.code(), Some(1));
            let says = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(says, "error: stopped, and nothing was moved\n");
        } else {
            assert_eq!(ended.status.code(), None);
        }
        wait_until("is empty", &is_empty);
    }
    assert_eq!(folder.content(), before);
    let said = folder.run(&["migrate", "--from", SQLITE, "--to", to]);
    assert!(said.stdout.contains("secrets       60001"), "{said:?}");
}

#[test]
fn a_move_to_postgresql_that_is_killed_or_stopped_leaves_nothing() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (folder, database) = (Folder::new(), postgres.database());
    let writes = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'INSERT INTO secrets%'";
    let rows = "SELECT (SELECT count(*) FROM apps) + (SELECT count(*) FROM secrets) + (SELECT count(*) FROM audit)";
    interrupted(
        &url(&database),
        &folder,
        || database.query(writes) != "0",
        || database.query(rows) == "0",
    );
}

#[test]
fn a_move_to_sqlite_that_is_killed_or_stopped_leaves_nothing() {
    let folder = Folder::new();
    let target = folder.path().join("new.db");
    let log = folder.path().join("new.db-wal");
    let rows = "SELECT (SELECT count(*) FROM apps) + (SELECT count(*) FROM secrets) + (SELECT count(*) FROM audit)";
    interrupted(
        "sqlite://new.db",
        &folder,
        || log.metadata().is_ok_and(|found| found.len() > 1_000_000),
        || {
            let raw = rusqlite::Connection::open(&target).unwrap();
            raw.query_row(rows, [], |row| row.get::<_, i64>(0)).unwrap() == 0
        },
    );
}

#[test]
fn a_source_that_a_host_works_on_is_not_moved() {
    let folder = Folder::new();
    let _host = rusqlite::Connection::open(folder.path().join(".tavora/tavora.db"))
        .inspect(|host| {
            host.query_row("SELECT count(*) FROM apps", [], |_| Ok(()))
                .unwrap();
        })
        .unwrap();
    let ended = folder.run(&["migrate", "--from", SQLITE, "--to", "sqlite://new.db"]);
    assert_eq!(
        (ended.status, &*ended.stderr),
        (
            1,
            "error: the source is open in another process, and nothing was moved; stop every host on it, then move again\n"
        )
    );
    let dry = [
        "migrate",
        "--from",
        SQLITE,
        "--to",
        "sqlite://new.db",
        "--dry-run",
    ];
    folder.ok(&dry);
}
