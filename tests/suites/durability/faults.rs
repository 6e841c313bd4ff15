//! Full or read-only disks, and a database that somebody else has locked. Errors are clear and come
//! within bounded time, and `/readyz` reports them. Nothing acknowledged is lost, and everything
//! works again without a restart.
//!
//! The disks are real ones in memory. A test that needs one starts itself again in a mount
//! namespace of its own.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tavora_tests::daemon::Daemon;
use tavora_tests::requirement;
use tavora_tests::wire::{Answer, Request};

use crate::folder::{Folder, OLD};
use crate::strace;

/// The size of the disk that gets full.
const DISK: &str = "size=4m";

/// The longest time for anything while the store does not work: its own limit of 10 s, and room for
/// a slow machine.
const BOUND: Duration = Duration::from_secs(120);

/// A host with one vault, and a client of it.
struct Served {
    folder: Folder,
    host: Daemon,
    vault: String,
    key: String,
}

#[test]
fn a_full_disk_is_told_and_ends_without_a_restart() {
    in_a_namespace_of_its_own("faults::with_a_full_disk");
}

#[test]
fn a_read_only_disk_is_told_before_anything_is_served() {
    in_a_namespace_of_its_own("faults::with_a_read_only_disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_process_locks_is_told_and_works_again_after_it() {
    let served = Served::start(Folder::with_vault());
    served.stored("a", "before");
    let locking = served.folder.raw();
    locking.execute_batch("BEGIN IMMEDIATE").expect("free");
    let refused = served.bounded(|| served.put("a", "while it is locked"));
    unavailable(&refused);
    // A reader need not wait.
    let path = format!("/api/sdk/secret-vaults/{}/secrets", served.vault);
    let listed = served.bounded(|| served.ask("GET", &path));
    assert_eq!(listed.status, 200, "{}", listed.text());
    unavailable(&served.bounded(|| served.ask("GET", "/readyz")));
    assert_eq!(served.ask("GET", "/healthz").status, 200);
    locking.execute_batch("ROLLBACK").expect("open");
    served.works_again("a", "before").await;
}

/// A file system turns read-only after an error, even for files that are open. No mount option does
/// that.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_is_told_and_ends_without_a_restart() {
    if !strace::is_there() {
        return;
    }
    let folder = Folder::with_vault();
    let host = folder.command(OLD, &["serve", "--listen", "127.0.0.1:0"]);
    let (log, fault) = (Some("tavora.db-wal"), "error=EROFS:when=60..90");
    let host = Daemon::spawn(&mut strace::under_strace(&host, "pwrite64", log, fault));
    let served = Served::of(folder, host);
    served.stored("a", "before");
    let mut last = "before".to_owned();
    let refused = (0..100).find_map(|step: u32| {
        let put = served.bounded(|| served.put("a", &step.to_string()));
        match put.status {
            200 => {
                last = step.to_string();
                None
            }
            _ => Some(put),
        }
    });
    unavailable(&refused.expect("the disk takes no more"));
    let ready = || served.bounded(|| served.ask("GET", "/readyz"));
    let answers: Vec<Answer> = std::iter::repeat_with(ready).take(40).collect();
    unavailable(&answers[0]);
    assert_eq!(answers[39].status, 200, "each request tries to write once");
    served.works_again("a", &last).await;
}

/// This is a part of the tests above, not a test of its own. It runs where it may mount.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a test that runs in a mount namespace of its own"]
async fn with_a_full_disk() {
    let disk = mounted(DISK);
    let served = Served::start(Folder::with_vault_in(disk.path()));
    served.stored("a", "before");
    let filler = disk.path().join("filler");
    fill(&filler);
    // Free pages that the log already has may still take a few writes.
    let mut last = "before".to_owned();
    let refused = (0..100).find_map(|step| {
        let value = format!("{step}{}", "x".repeat(20_000));
        let put = served.bounded(|| served.put("a", &value));
        match put.status {
            200 => {
                last = value;
                None
            }
            _ => Some(put),
        }
    });
    unavailable(&refused.expect("a full disk takes no more"));
    let log = served.host.log();
    assert!(log.contains("the disk is full"), "{log}");
    unavailable(&served.bounded(|| served.ask("GET", "/readyz")));
    assert_eq!(served.ask("GET", "/healthz").status, 200);
    // A release must be recorded first, so none succeeds. Commands get the same error.
    let put = served.folder.run(OLD, &["vault", "create", "another"]);
    assert_eq!(put.status, 1, "{put:?}");
    assert!(put.stderr.contains("disk is full"), "{put:?}");
    // This is the moment for a backup to another disk.
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("another disk");
    let copy = elsewhere.path().join("copy.db");
    let copy = copy.to_str().expect("UTF-8");
    let backup = served.folder.run(OLD, &["backup", copy]);
    assert_eq!(backup.status, 0, "{backup:?}");

    std::fs::remove_file(filler).expect("it is there");
    served.works_again("a", &last).await;
}

/// This is a part of the tests above, not a test of its own. It runs where it may mount.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a test that runs in a mount namespace of its own"]
async fn with_a_read_only_disk() {
    let disk = mounted(DISK);
    let folder = Folder::with_vault_in(disk.path());
    folder.put(OLD, "a", "before");
    remount(disk.path(), "remount,ro");
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["secret", "delete", "a", "--yes"],
        &["app", "create", "Another"],
    ] {
        let started = Instant::now();
        let refused = folder.run(OLD, arguments);
        assert!(started.elapsed() < BOUND, "{arguments:?}: the command hung");
        assert_eq!(refused.status, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("read-only"),
            "{arguments:?}: {refused:?}"
        );
    }
    remount(disk.path(), "remount,rw");
    let served = Served::start(folder);
    served.works_again("a", "before").await;
}

impl Served {
    fn start(folder: Folder) -> Self {
        let host = folder.serve(OLD);
        Self::of(folder, host)
    }

    fn of(folder: Folder, host: Daemon) -> Self {
        let vault = folder.json(OLD, &["vault", "list"])[0]["id"].clone();
        let key = folder.json(OLD, &["key", "create", "tests"])["key"].clone();
        Self {
            host,
            vault: vault.as_str().expect("an id").to_owned(),
            key: key.as_str().expect("text").to_owned(),
            folder,
        }
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let request = Request::new(method, path).header("x-api-key", &self.key);
        self.host.send(&request)
    }

    fn put(&self, name: &str, value: &str) -> Answer {
        let path = format!("/api/sdk/secret-vaults/{}/secrets/{name}", self.vault);
        let request = Request::new("PUT", &path).header("x-api-key", &self.key);
        self.host.send(&request.json(&json!({ "value": value })))
    }

    #[track_caller]
    fn stored(&self, name: &str, value: &str) {
        let put = self.put(name, value);
        assert_eq!(put.status, 200, "{}", put.text());
    }

    #[track_caller]
    fn bounded(&self, ask: impl FnOnce() -> Answer) -> Answer {
        let started = Instant::now();
        let answer = ask();
        assert!(
            started.elapsed() < BOUND,
            "the answer took {:?}",
            started.elapsed()
        );
        answer
    }

    /// After the fault the host notices by itself, has everything that it had, and accepts more.
    async fn works_again(&self, name: &str, value: &str) {
        let ready = self.bounded(|| self.ask("GET", "/readyz"));
        assert_eq!(ready.status, 200, "{}", ready.text());
        let found = self.folder.released(OLD, name).await;
        assert_eq!(found.expect("it is there"), value);
        self.stored(name, "after");
        let found = self.folder.released(OLD, name).await;
        assert_eq!(found.expect("it is there"), "after");
        let verified = self.folder.ok(OLD, &["audit", "verify"]);
        assert!(verified.contains("0 findings"), "{verified}");
    }
}

#[track_caller]
fn unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["code"], "vault_unavailable");
}

/// Runs a part of this file in a namespace where it may mount, whichever user runs the tests.
fn in_a_namespace_of_its_own(part: &str) {
    let may_mount = [
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        "/mnt",
    ];
    let may_mount = requirement::answers("unshare", &may_mount);
    if !requirement::are_there(&[("the right to mount in a namespace of one's own", may_mount)]) {
        return;
    }
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", part, "--ignored", "--nocapture"])
        .status();
    assert!(
        status.expect("it starts").success(),
        "{part} failed, see above"
    );
}

/// Mounts a new disk in memory, with the size in `options`.
fn mounted(options: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(folder.path())
        .status();
    assert!(
        mount.expect("it starts").success(),
        "the disk cannot be mounted"
    );
    folder
}

fn remount(disk: &Path, options: &str) {
    let mount = Command::new("mount")
        .args(["-o", options])
        .arg(disk)
        .status();
    assert!(mount.expect("it starts").success(), "{options}");
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("there is room");
    for bytes in [65_536, 4_096, 1] {
        let full = std::iter::repeat_with(|| file.write_all(&vec![0; bytes]));
        let error = full.filter_map(Result::err).next().expect("it gets full");
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }
}
