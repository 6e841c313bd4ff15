//! `tavora-host kek …` as an operator rotates a key with it: its text, its JSON, and its exit
//! statuses.

use std::path::Path;

use serde_json::Value;
use tavora_tests::binary::{Ended, end, host, run};

/// A data folder with a KEK in `old`, one in `new`, and secrets in one vault.
struct Rotation {
    folder: tempfile::TempDir,
}

impl Rotation {
    fn new(secrets: usize) -> Self {
        let rotation = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        rotation.ok("old", &["app", "create", "Shop"]);
        rotation.ok("old", &["vault", "create", "main"]);
        rotation.ok("old", &["vault", "designate", "main"]);
        for secret in 0..secrets {
            rotation.put("old", &format!("S{secret}"));
        }
        rotation
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The reference to a KEK file. The first use makes the file.
    fn kek(&self, name: &str) -> String {
        let path = self.path().join(name);
        if !path.exists() {
            let made = run(self.path(), &["kek", "generate", "--out", name]);
            assert_eq!(made.status, 0, "{made:?}");
        }
        format!("file://{}", path.display())
    }

    /// Runs a command with these KEKs, separated by commas, the first one primary.
    fn run(&self, keks: &str, arguments: &[&str]) -> Ended {
        let mut keks = keks.split(',').map(|name| self.kek(name));
        let mut command = host(self.path());
        command.env("TAVORA_SECRET_KEK", keks.next().expect("a KEK is named"));
        let previous: Vec<String> = keks.collect();
        command.env("TAVORA_SECRET_KEK_PREVIOUS", previous.join(","));
        command.args(arguments);
        end(command)
    }

    fn ok(&self, keks: &str, arguments: &[&str]) -> String {
        let ended = self.run(keks, arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
        ended.stdout
    }

    fn json(&self, keks: &str, arguments: &[&str], status: i32) -> Value {
        let ended = self.run(keks, &[arguments, &["--json"]].concat());
        assert_eq!(ended.status, status, "{arguments:?}: {ended:?}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    fn put(&self, kek: &str, name: &str) {
        std::fs::write(self.path().join("value"), format!("value of {name}")).expect("writable");
        self.ok(kek, &["secret", "put", name, "--from-file", "value"]);
    }

    fn id(&self, kek: &str) -> String {
        let status = self.json(kek, &["kek", "status"], 0);
        status["primary"].as_str().expect("a kek id").to_owned()
    }

    fn raw(&self, sql: &str) {
        let database = self.path().join(".tavora/tavora.db");
        let raw = rusqlite::Connection::open(database).expect("it is there");
        raw.execute_batch(sql).expect("the statement is right");
    }
}

#[test]
fn a_key_is_rotated_by_commands_alone() {
    let rotation = Rotation::new(3);
    let (old, new) = (rotation.id("old"), rotation.id("new,old"));
    let status = rotation.ok("new,old", &["kek", "status"]);
    assert!(
        status.contains("3 secrets are wrapped with older KEKs; `kek rewrap` moves them"),
        "{status}"
    );
    let planned = rotation.ok("new,old", &["kek", "rewrap", "--dry-run"]);
    assert!(
        planned.starts_with(&format!("a rewrap would move 3 secrets to {new} in ")),
        "{planned}"
    );
    let still = rotation.json("new,old", &["kek", "status"], 0);
    assert_eq!(still["keks"][0]["rows"], 3, "{still}");

    let early = rotation.run("new,old", &["kek", "retire", &old]);
    assert_eq!(early.status, 1, "{early:?}");
    assert!(
        early.stderr.contains(&format!(
            "3 secrets still need the KEK {old}; move them with `kek rewrap` first"
        )),
        "{early:?}"
    );
    let report = rotation.json("new,old", &["kek", "rewrap", "--verify", "--batch", "2"], 0);
    assert_eq!(report["outcome"], "complete", "{report}");
    assert_eq!(
        (&report["moved"], &report["unreadable"]),
        (&3.into(), &0.into())
    );
    assert_eq!(report["to"], *new);
    let again = rotation.ok("new,old", &["kek", "rewrap"]);
    assert!(
        again.starts_with(&format!(
            "nothing to do: every secret is wrapped with {new} already"
        )),
        "{again}"
    );
    let retired = rotation.ok("new,old", &["kek", "retire", &old]);
    assert!(retired.contains("is retired; take it out of the keyring"));
    assert!(
        rotation
            .ok("new", &["kek", "verify"])
            .contains("all 3 secrets open")
    );

    // The new KEK leaked as well.
    let report = rotation.json("third,new", &["kek", "rewrap", "--reencrypt"], 0);
    assert_eq!(
        (&report["outcome"], &report["moved"]),
        (&"complete".into(), &3.into())
    );
    assert!(
        rotation
            .ok("third", &["kek", "verify"])
            .contains("all 3 secrets open")
    );
    assert!(
        rotation
            .ok("third", &["audit", "verify"])
            .contains("0 findings")
    );
}

#[test]
fn secrets_that_do_not_open_are_named_and_end_with_1() {
    let rotation = Rotation::new(3);
    let lost = rotation.id("lost,old");
    rotation.put("lost,old", "UNDER_LOST");
    rotation.raw("UPDATE secrets SET wrapped = zeroblob(62) WHERE name = 'S1'");
    let rewrapped = rotation.run("new,old", &["kek", "rewrap"]);
    assert_eq!(rewrapped.status, 1, "{rewrapped:?}");
    let said = &rewrapped.stdout;
    for expected in [
        "moved 2 secrets to ",
        "DOES NOT OPEN: app shop, vault \"main\", secret S1, KEK ",
        ": its DEK does not unwrap",
        &format!("secret UNDER_LOST, KEK {lost}: its KEK is not in the keyring"),
        "2 secrets do not open and are as they were; restore them from a backup",
        &format!(
            "MISSING: 1 secrets need the KEK {lost}, which is not in the keyring; add it to TAVORA_SECRET_KEK_PREVIOUS"
        ),
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
    let status = rotation.run("new,old", &["kek", "status"]);
    assert_eq!(status.status, 3, "{status:?}");
    assert!(
        status.stdout.contains("MISSING: 1 secrets need"),
        "{status:?}"
    );
    let verified = rotation.json("new,old", &["kek", "verify"], 1);
    assert_eq!(
        (&verified["seen"], &verified["unreadable"]),
        (&4.into(), &2.into())
    );
    let causes: Vec<_> = verified["unreadable_secrets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["name"].clone(), it["cause"].clone()))
        .collect();
    assert!(causes.contains(&("S1".into(), "wrap".into())), "{causes:?}");
    assert!(
        causes.contains(&("UNDER_LOST".into(), "kek_missing".into())),
        "{causes:?}"
    );

    // This follows the advice: one secret is stored anew, and the other one deleted.
    rotation.put("new,old", "S1");
    rotation.ok("new,old", &["secret", "delete", "UNDER_LOST", "--yes"]);
    rotation.ok("new,old", &["kek", "rewrap", "--verify"]);
    rotation.ok("new", &["kek", "retire", &lost]);
    assert!(
        rotation
            .ok("new", &["kek", "verify"])
            .contains("all 3 secrets open")
    );
}

#[test]
fn the_status_of_the_keks_is_one_for_scripts_too() {
    let rotation = Rotation::new(2);
    let old = rotation.id("old");
    let check = |keks: &str, status: i32, says: &[&str]| {
        let ended = rotation.run(keks, &["kek", "status"]);
        assert_eq!(ended.status, status, "{keks}: {ended:?}");
        for part in says {
            assert!(ended.stdout.contains(part), "{part:?} is not in {ended:?}");
        }
        let ended = rotation.run(keks, &["kek", "status", "--json"]);
        assert_eq!(ended.status, status, "{keks}: {ended:?}");
    };
    check("old", 0, &["ready"]);
    check("new,old", 0, &["ready", "`kek rewrap` moves them"]);
    // Nothing was ever wrapped under this KEK: the setting is mistaken, or the KEK is new.
    check(
        "stranger",
        3,
        &[
            "wrong KEK",
            &format!("2 secrets need the KEK {old}"),
            "if TAVORA_SECRET_KEK is mistaken, set it to that KEK",
            "if it is a new KEK, add the old one to TAVORA_SECRET_KEK_PREVIOUS",
        ],
    );
    let unset = run(rotation.path(), &["kek", "status"]);
    assert_eq!(unset.status, 3, "{unset:?}");
    rotation.put("old", "S2");
    rotation.raw("UPDATE keks SET canary = zeroblob(length(canary))");
    check("old", 5, &["canary"]);
}

#[test]
fn what_cannot_be_meant_ends_with_2_and_says_what_to_do() {
    let rotation = Rotation::new(1);
    let new = rotation.id("new,old");
    let unknown = "0".repeat(32);
    for (arguments, said) in [
        (
            vec!["rewrap", "--to", "zz"],
            "a kek id is 32 hexadecimal digits".to_owned(),
        ),
        (
            vec!["rewrap", "--to", &unknown],
            format!(
                "the KEK {unknown}, which wraps 0 secrets, is not in the keyring; add it to TAVORA_SECRET_KEK_PREVIOUS"
            ),
        ),
        (
            vec!["rewrap", "--batch", "0"],
            "a batch has 1 to 2000 secrets; the default is 500".to_owned(),
        ),
        (
            vec!["rewrap", "--batch", "2001"],
            "a batch has 1 to 2000 secrets".to_owned(),
        ),
        (
            vec!["retire", &unknown],
            format!("the database knows no KEK {unknown}; take a kek id from `kek status`"),
        ),
        (
            vec!["retire", &new],
            format!("the KEK {new} is the primary one"),
        ),
    ] {
        let arguments = [&["kek"], arguments.as_slice()].concat();
        let ended = rotation.run("new,old", &arguments);
        assert_eq!(ended.status, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(&said), "{said:?} is not in {ended:?}");
    }
    // There is no key at all, one that does not fit, or one that is there twice.
    let none = run(rotation.path(), &["kek", "rewrap"]);
    assert_eq!(none.status, 2, "{none:?}");
    assert!(none.stderr.contains("no KEK is configured"), "{none:?}");
    let stranger = rotation.run("stranger", &["kek", "rewrap"]);
    assert_eq!(stranger.status, 1, "{stranger:?}");
    let old = rotation.id("old");
    assert!(
        stranger
            .stderr
            .contains(&format!("1 secrets need the KEK {old}")),
        "{stranger:?}"
    );
    let twice = rotation.run("old,new,old", &["kek", "status"]);
    assert_eq!(twice.status, 2, "{twice:?}");
    assert!(
        twice
            .stderr
            .contains(&format!("the KEK {old} is in the keyring twice")),
        "{twice:?}"
    );
}
