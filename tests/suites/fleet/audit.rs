//! The audit that several hosts and commands write at once is whole, and any edit in the database
//! is found.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use tavora_tests::binary;
use tavora_tests::postgres::{Database, PASSWORD, Postgres};
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

use crate::pair::{Pair, secret};

/// An address where nothing listens.
const NO_UPSTREAM: &str = "http://127.0.0.1:9";

/// The number of commands that run beside the hosts.
const COMMANDS: usize = 6;

/// The report of `audit verify`, and its status.
fn verify(host: &Serving, expect_head: Option<&str>) -> (i32, Value) {
    let mut command: Command = binary::host(host.folder.path());
    command
        .args(["audit", "verify", "--json", "--data", "data"])
        .env("TAVORA_STORAGE_PASSWORD", PASSWORD);
    if let Some(head) = expect_head {
        command.args(["--expect-head", head]);
    }
    let ended = binary::end(command);
    let report = serde_json::from_str(&ended.stdout);
    (ended.status, report.unwrap_or_else(|_| panic!("{ended:?}")))
}

/// The kinds of its findings, each with its chain.
fn findings(host: &Serving, expect_head: Option<&str>) -> Vec<String> {
    let (status, report) = verify(host, expect_head);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(status, i32::from(!findings.is_empty()), "{report}");
    let named = findings.iter().map(|finding| {
        let of = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}", of("kind"), of("chain")).trim().to_owned()
    });
    named.collect()
}

fn count(database: &Database, of: &str) -> usize {
    database
        .query(&format!("SELECT count(*) FROM {of}"))
        .parse()
        .unwrap()
}

#[test]
fn hosts_and_commands_write_one_audit() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let pair = Pair::start(&database, None, NO_UPSTREAM);
    let key = pair.app.key.as_str();
    let vault = pair.make_vault(key, "main");
    pair.designate(key, Some(&vault));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (host, name) in [
            (&pair.a, "of_a"),
            (&pair.b, "of_b"),
            (&pair.a, "both"),
            (&pair.b, "both"),
        ] {
            let path = secret(&vault).replace(tavora_tests::fixture::SEARCH_SECRET, name);
            let is_over = &is_over;
            scope.spawn(move || {
                for number in 0.. {
                    let request = Request::new("PUT", &path).header("x-api-key", key);
                    let answer = host.send(&request.json(&json!({ "value": format!("{number}") })));
                    assert!((200..300).contains(&answer.status), "{}", answer.text());
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        // The commands share the chain of host `a`, which continues meanwhile.
        for number in 0..COMMANDS {
            let ended = pair.a.run(&["app", "create", &format!("App {number}")]);
            assert_eq!(ended.status, 0, "{ended:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (status, report) = verify(&pair.b, None);
    assert_eq!((status, &report["findings"]), (0, &json!([])), "{report}");
    let chains = report["chains"].as_array().unwrap();
    let names: Vec<_> = chains
        .iter()
        .map(|chain| chain["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b"]);
    for chain in chains {
        let entries = format!("audit WHERE chain = '{}'", chain["name"].as_str().unwrap());
        assert_eq!(chain["entries"], count(&database, &entries));
    }
    assert_eq!(
        count(
            &database,
            "audit WHERE chain = 'a' AND action = 'app.created'"
        ),
        COMMANDS + 1
    );
}

#[test]
fn whoever_edits_it_is_found_out() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let pair = Pair::start(&database, None, NO_UPSTREAM);
    let (a, key) = (&pair.a, pair.app.key.as_str());
    let vault = pair.make_vault(key, "main");
    for number in 0..3 {
        let request = Request::new("PUT", secret(&vault)).header("x-api-key", key);
        let put = pair
            .b
            .send(&request.json(&json!({ "value": format!("{number}") })));
        assert!((200..300).contains(&put.status), "{}", put.text());
        if number == 1 {
            database.query("CREATE TABLE kept_secrets AS TABLE secrets");
        }
    }
    pair.put(key, &vault, "by a");
    let (status, report) = verify(a, None);
    assert_eq!((status, &report["findings"]), (0, &json!([])), "{report}");
    let head = report["chains"][1]["head"].as_str().unwrap().to_owned();
    for table in ["audit", "chains", "secrets"] {
        let kept = format!("CREATE TABLE before_{table} AS TABLE {table}");
        database.query(&kept);
    }
    let last_of_b = "chain = 'b' AND seq = (SELECT max(seq) FROM audit WHERE chain = 'b')";
    let renamed = |table: &str, column: &str| {
        format!("UPDATE {table} SET {column} = 'c' WHERE {column} = 'b'")
    };
    let put_back = "UPDATE secrets SET (version, wrapped, payload) = (old.version, old.wrapped, old.payload) \
        FROM kept_secrets old WHERE old.name = secrets.name";
    for (tampering, found) in [
        (
            "UPDATE audit SET outcome = 'denied' WHERE chain = 'b' AND seq = 2",
            &["edited_entry b"][..],
        ),
        (
            &format!("DELETE FROM audit WHERE {last_of_b}"),
            &["chain_ends_elsewhere b"],
        ),
        (
            "DELETE FROM audit WHERE chain = 'b' AND seq = 2",
            &["gap b"],
        ),
        (
            &format!(
                "UPDATE audit SET chain = 'a', seq = (SELECT max(seq) + 1 FROM audit WHERE chain = 'a') WHERE {last_of_b}"
            ),
            &["gap a", "edited_entry a", "gap a", "chain_ends_elsewhere b"],
        ),
        (
            &format!(
                "{}; {}",
                renamed("audit", "chain"),
                renamed("chains", "name")
            ),
            &["broken_link c"],
        ),
        (put_back, &["secret_rolled_back"]),
        ("DELETE FROM chains WHERE name = 'b'", &["head_forgotten b"]),
        (
            "DELETE FROM audit WHERE chain = 'b'",
            &["chain_ends_elsewhere b"],
        ),
    ] {
        database.query(tampering);
        let is = findings(a, None);
        assert_eq!(is, found, "{tampering}");
        for table in ["audit", "chains", "secrets"] {
            let restored =
                format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM before_{table}");
            database.query(&restored);
        }
        assert_eq!(
            findings(a, Some(&head)),
            Vec::<String>::new(),
            "{tampering}"
        );
    }

    // An editor who also resets the end of the chain is found by the head that was kept elsewhere.
    database.query(&format!(
        "DELETE FROM audit WHERE chain = 'b' AND seq > 1; \
         UPDATE chains SET (seq, hash) = (SELECT seq, hash FROM audit WHERE {last_of_b}) WHERE name = 'b'"
    ));
    assert!(findings(a, Some(&head)).contains(&"head_not_found".to_owned()));
}
