//! Backup and restore: beside a running host, across rotations, and their refusals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tavora_tests::wire::Request;
use vault_core::ReleaseError;

use crate::folder::{BOTH, Folder, NEW, OLD};
use crate::golden::golden;
use crate::strace;

const WRITERS: usize = 4;

/// Ends the writers of a test, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_busy_host_holds_all_that_was_acknowledged_before() {
    let folder = Folder::with_vault();
    let vault = folder.json(OLD, &["vault", "list"])[0]["id"].clone();
    let vault = vault.as_str().expect("an id");
    let key = folder.json(OLD, &["key", "create", "tests"])["key"].clone();
    let key = key.as_str().expect("text");
    let host = folder.serve(OLD);
    // The reader keeps later writes out of the database file, so they are only in the log.
    let reader = folder.raw();
    let begin = "BEGIN; SELECT count(*) FROM secrets";
    reader.execute_batch(begin).expect("readable");
    let is_over = AtomicBool::new(false);
    let acknowledged = [const { AtomicU64::new(0) }; WRITERS];
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let (host, is_over) = (&host, &is_over);
            scope.spawn(move || {
                let path = format!("/api/sdk/secret-vaults/{vault}/secrets/S{writer}");
                for step in 1_u64.. {
                    let put = Request::new("PUT", &path).header("x-api-key", key);
                    let put = host.send(&put.json(&json!({ "value": step.to_string() })));
                    assert!(matches!(put.status, 200 | 201), "{}", put.text());
                    acknowledged.store(step, Ordering::Release);
                    if is_over.load(Ordering::Acquire) {
                        return;
                    }
                }
            });
        }
        let _over = Over(&is_over);
        let now = || {
            acknowledged
                .each_ref()
                .map(|step| step.load(Ordering::Acquire))
        };
        for round in 0..2 {
            std::thread::sleep(Duration::from_millis(60));
            let before = now();
            folder.ok(OLD, &["backup", &format!("{round}.db")]);
            seen.push((before, now()));
        }
    });
    drop((host, reader));
    for (round, (before, after)) in seen.into_iter().enumerate() {
        let file = format!("{round}.db");
        folder.ok(OLD, &["restore", "--replace", &file]);
        assert!(folder.ok(OLD, &["audit", "verify"]).contains("0 findings"));
        for writer in 0..WRITERS {
            let value = folder.released(OLD, &format!("S{writer}")).await;
            let value: u64 = value.expect("it is there").parse().expect("a step");
            // The write that was under way may or may not be in the copy.
            let possible = before[writer]..=after[writer] + 1;
            assert!(
                possible.contains(&value),
                "{round}, {writer}: {value}, {possible:?}"
            );
        }
        assert!(
            before.iter().all(|step| *step > 0),
            "every writer got to write"
        );
    }
}

#[test]
fn a_backup_is_one_private_file_without_what_was_deleted() {
    let folder = Folder::with_vault();
    let payload = |name: &str| -> Vec<u8> {
        let sql = "SELECT payload FROM secrets WHERE name = ?";
        let row = folder.raw().query_row(sql, [name], |row| row.get(0));
        row.expect("it is there")
    };
    folder.put(OLD, "kept", "v");
    folder.put(OLD, "deleted", "v");
    let (kept, deleted) = (payload("kept"), payload("deleted"));
    folder.ok(OLD, &["secret", "delete", "deleted", "--yes"]);
    // A free page may still hold old content, if something else than this program freed it.
    let freed = "page-that-was-freed".repeat(300);
    let junk = format!(
        "PRAGMA secure_delete = OFF; CREATE TABLE junk (x); INSERT INTO junk VALUES ('{freed}'); DROP TABLE junk"
    );
    folder.raw().execute_batch(&junk).expect("writable");
    let source = fs::read(folder.database()).expect("readable");
    let freed = &freed.as_bytes()[..40];
    assert!(source.windows(freed.len()).any(|found| found == freed));
    let made = folder.json(OLD, &["backup", "backups.db"]);
    let file = folder.path().join("backups.db");
    let mode = fs::metadata(&file).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = fs::read(&file).expect("readable");
    assert_eq!(made["bytes"], bytes.len());
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|found| found == needle);
    assert!(holds(&kept) && !holds(&deleted) && !holds(freed));
    let value = fs::read(folder.path().join("old")).expect("the KEK");
    assert!(!holds(value.trim_ascii()), "the backup holds the KEK");
    let names = fs::read_dir(folder.path()).expect("readable");
    let left = names.filter(|name| {
        let name = name.as_ref().expect("readable").file_name();
        let name = name.to_string_lossy().into_owned();
        name.starts_with("backups.db-") || name.starts_with(".tavora-copy")
    });
    assert_eq!(left.count(), 0, "temporary files are left");

    // The printed head is that of the copy, whose last entry is about the backup. The database
    // itself has that entry too.
    let head = made["audit"]["head"].as_str().expect("a head").to_owned();
    let verified = folder.ok(OLD, &["audit", "verify", "--expect-head", &head]);
    assert!(verified.contains("0 findings"), "{verified}");
    let nowhere = "0".repeat(64);
    let expected = ["--expect-head", &head, "--expect-head", &nowhere];
    let verified = folder.run(OLD, &[&["audit", "verify"][..], &expected].concat());
    assert_eq!(verified.status, 1, "{verified:?}");
    assert!(verified.stdout.contains("1 findings"), "{verified:?}");
    let tail = folder.json(OLD, &["audit", "tail", "-n", "1"]);
    assert_eq!(tail[0]["action"], "database.backed_up");
    assert_eq!(made["recorded"], true);

    let again = folder.run(OLD, &["backup", "backups.db"]);
    assert_eq!(again.status, 2, "{again:?}");
    assert_eq!(
        fs::read(&file).expect("readable"),
        bytes,
        "the backup was overwritten"
    );
    let nowhere = folder.run(OLD, &["backup", "no/folder/b.db"]);
    assert_eq!(nowhere.status, 2, "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_a_rotation_needs_the_key_of_then() {
    let folder = Folder::with_vault();
    folder.put(OLD, "a", "before");
    folder.ok(OLD, &["backup", "before.db"]);
    rotate(&folder);
    let files = folder.files();

    let kek_id = folder.json(BOTH, &["backup", "after.db"])["keks"]["primary"].clone();
    let before = folder.json(OLD, &["restore", "--dry-run", "before.db"]);
    let needed = before["keks"]["keks"][0]["kek_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_ne!(kek_id, needed.as_str());
    for arguments in [
        &["restore", "--replace", "before.db"][..],
        &["restore", "--dry-run", "before.db"],
    ] {
        let refused = folder.run(NEW, arguments);
        assert_eq!(refused.status, 1, "{refused:?}");
        let message =
            format!("1 secrets need the KEK {needed}, which is not at hand; set TAVORA_SECRET_KEK");
        assert!(refused.stderr.contains(&message), "{refused:?}");
        assert!(
            refused.stdout.contains("nothing was changed"),
            "{refused:?}"
        );
    }
    assert_eq!(folder.files(), files);
    assert_eq!(
        folder.released(NEW, "a").await.expect("it is there"),
        "after"
    );

    folder.ok(BOTH, &["restore", "--replace", "before.db"]);
    assert_eq!(
        folder.released(BOTH, "a").await.expect("it opens"),
        "before"
    );
    assert!(matches!(
        folder.released(NEW, "a").await,
        Err(ReleaseError::Unavailable { .. })
    ));

    // Without the key the restore can be forced, and says what is missing.
    let anyway = folder.run(NEW, &["restore", "--replace", "--anyway", "before.db"]);
    assert_eq!(anyway.status, 0, "{anyway:?}");
    assert!(anyway.stderr.contains(&needed), "{anyway:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_after_a_rotation_needs_the_new_key_alone() {
    let folder = Folder::with_vault();
    folder.put(OLD, "a", "before");
    rotate(&folder);
    folder.ok(NEW, &["backup", "after.db"]);
    folder.ok(NEW, &["restore", "--replace", "after.db"]);
    assert_eq!(folder.released(NEW, "a").await.expect("it opens"), "after");
    let refused = folder.run(OLD, &["restore", "--replace", "after.db"]);
    assert_eq!(refused.status, 1, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_stays_and_a_running_host_is_not_taken_its_database_away() {
    let folder = Folder::with_vault();
    folder.put(OLD, "a", "first");
    folder.ok(OLD, &["backup", "first.db"]);
    folder.put(OLD, "a", "second");

    let unasked = folder.run(OLD, &["restore", "first.db"]);
    assert_eq!(unasked.status, 2, "{unasked:?}");
    let host = folder.serve(OLD);
    let files = folder.files();
    let refused = folder.run(OLD, &["restore", "--replace", "first.db"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("stop every host"), "{refused:?}");
    assert_eq!(folder.files(), files);
    assert_eq!(host.send(&Request::new("GET", "/readyz")).status, 200);
    drop(host);

    let restored = folder.json(OLD, &["restore", "--replace", "first.db"]);
    assert_eq!(folder.released(OLD, "a").await.expect("there"), "first");
    let tail = folder.json(OLD, &["audit", "tail"]);
    let entry = tail.as_array().expect("entries").iter();
    let entry = entry.filter(|entry| entry["action"] == "database.restored");
    let entry: Vec<&Value> = entry.collect();
    assert_eq!(entry.len(), 1, "{tail}");
    assert_eq!(entry[0]["metadata"]["head"], restored["audit"]["head"]);

    // The replaced database has everything in one file.
    let kept = PathBuf::from(restored["kept"].as_str().expect("a path"));
    fs::rename(folder.path().join(kept), folder.database()).expect("the same folder");
    assert_eq!(folder.released(OLD, "a").await.expect("there"), "second");
}

#[test]
fn what_is_no_sound_backup_changes_nothing() {
    let folder = Folder::with_vault();
    folder.put(OLD, "a", "v");
    folder.ok(OLD, &["backup", "good.db"]);
    let good = fs::read(folder.path().join("good.db")).expect("readable");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("writable");
    };
    let change = |name: &str, sql: &str| {
        write(name, &good);
        let connection = Connection::open(folder.path().join(name)).expect("it opens");
        connection.execute_batch(sql).expect("valid");
    };
    write("text.db", &b"this is no database. ".repeat(400));
    write("empty.db", b"");
    write("cut.db", &good[..good.len() / 2]);
    let mut broken = good.clone();
    let page = usize::from(u16::from_be_bytes([good[16], good[17]]));
    broken[2 * page..3 * page].fill(0xff);
    write("broken.db", &broken);
    change("newer.db", "PRAGMA user_version = 99");
    change("foreign.db", "PRAGMA application_id = 7");
    change(
        "edited.db",
        "UPDATE audit SET action = 'app.deleted' WHERE place = 1",
    );
    change("rolled-back.db", "DELETE FROM secrets");
    write("in-use.db", &good);
    write("in-use.db-wal", b"frames");
    let head = "0".repeat(64);
    let files = folder.files();
    let database = fs::read(folder.database()).expect("there");
    for (arguments, status, message) in [
        (&["text.db"][..], 1, "is not a vault database"),
        (&["empty.db"], 1, "is not a vault database"),
        (&["cut.db"], 1, "the database is corrupt"),
        (&["broken.db"], 1, "the database is corrupt"),
        (&["broken.db", "--anyway"], 1, "the database is corrupt"),
        (&["newer.db"], 1, "schema version 99"),
        (&["foreign.db"], 1, "is not a vault database"),
        (&["edited.db"], 1, "entry 1 was edited"),
        (&["rolled-back.db"], 1, "is missing"),
        (
            &["good.db", "--expect-head", &head],
            1,
            "is not in the chain",
        ),
        (&["in-use.db"], 2, "in use"),
        (&["missing.db"], 2, "cannot read"),
        (&["data"], 2, "is not a file"),
    ] {
        let refused = folder.run(OLD, &[&["restore", "--replace"], arguments].concat());
        assert_eq!(refused.status, status, "{arguments:?}: {refused:?}");
        assert!(
            refused.stderr.contains(message),
            "{arguments:?}: {refused:?}"
        );
        assert_eq!(folder.files(), files, "{arguments:?}");
    }
    assert!(fs::read(folder.database()).expect("there") == database);
    // The operator decides what the findings mean.
    folder.ok(OLD, &["restore", "--replace", "--anyway", "edited.db"]);
}

#[test]
fn an_older_schema_is_copied_as_it_is_and_migrated_when_it_is_restored() {
    let folder = Folder::with_vault();
    let version = |file: PathBuf| -> i64 {
        let connection = Connection::open(file).expect("it opens");
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
        version.expect("readable")
    };
    let newest = version(folder.database());
    let released = golden().join("0.1.0");
    fs::copy(released.join("tavora.db"), folder.database()).expect("it is there");
    let older = version(folder.database());
    assert!(older < newest);
    let expected = fs::read(released.join("expected.json")).expect("it is there");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    for (kek, of_then) in [("old", 0), ("new", 1)] {
        let of_then = expected["keks"][of_then].as_str().expect("a KEK");
        fs::write(folder.path().join(kek), of_then).expect("writable");
    }
    let made = folder.json(BOTH, &["backup", "older.db"]);
    assert_eq!(made["recorded"], false);
    assert_eq!(
        version(folder.database()),
        older,
        "the backup migrated the database"
    );
    assert_eq!(version(folder.path().join("older.db")), older);
    folder.ok(BOTH, &["restore", "--replace", "older.db"]);
    assert_eq!(version(folder.database()), newest);
}

/// A full disk that takes no more audit entries still allows a backup to another disk.
#[test]
fn a_backup_does_not_need_the_audit() {
    let folder = Folder::with_vault();
    folder.put(OLD, "a", "v");
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END";
    folder.raw().execute_batch(trigger).expect("writable");
    let made = folder.run(OLD, &["backup", "--json", "copy.db"]);
    assert_eq!(made.status, 0, "{made:?}");
    assert!(
        made.stderr.contains("no entry about this backup"),
        "{made:?}"
    );
    let made: Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(made["recorded"], false);
}

/// Kills the process before each call that moves a file. Afterwards one of the two databases must
/// be in place, and complete.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_leaves_the_one_or_the_other() {
    if !strace::is_there() {
        return;
    }
    let folder = Folder::with_vault();
    folder.put(OLD, "a", "first");
    folder.ok(OLD, &["backup", "first.db"]);
    folder.put(OLD, "a", "second");
    let mut found = Vec::new();
    // The removal of the folder of the copy is the last of these calls.
    for call in ["link,linkat", "rename,renameat,renameat2", "rmdir,unlinkat"] {
        let restore = folder.command(OLD, &["restore", "--replace", "first.db"]);
        let mut restore = strace::under_strace(&restore, call, None, "signal=SIGKILL:when=1");
        let ended = restore.output().expect("it starts");
        assert!(ended.status.code().is_none(), "{call}: {ended:?}");
        found.push(folder.released(OLD, "a").await.expect("it is there"));
        let verified = folder.ok(OLD, &["audit", "verify"]);
        assert!(verified.contains("0 findings"), "{call}: {verified}");
    }
    assert_eq!(found, ["second", "second", "first"]);
}

/// Replaces the secret, and moves everything to the new key.
fn rotate(folder: &Folder) {
    folder.put(OLD, "a", "after");
    folder.ok(BOTH, &["kek", "rewrap"]);
}
