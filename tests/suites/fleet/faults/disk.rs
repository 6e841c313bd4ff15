//! A full disk under the database: a real one in memory, in a mount namespace of the test.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use tavora_tests::postgres::Postgres;
use tavora_tests::requirement;

use super::site::{OPERATION, SLACK, Site};

/// The size of the disk: for a cluster, a host's folder, and a little more.
const SIZE: &str = "size=200m";

/// Mounts a disk over the folder for temporary files, and becomes an ordinary user again, because
/// PostgreSQL refuses to run as root.
const MOUNT_AND_RUN: &str = "mount -t tmpfs -o \"$0\" tmpfs \"$TMPDIR\" && chmod 1777 \"$TMPDIR\" && exec unshare --map-user=65534 -- \"$@\"";

#[test]
fn a_full_disk_is_told_and_ends_without_a_restart() {
    if Postgres::shared().is_none() {
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let in_a_namespace = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args([
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                MOUNT_AND_RUN,
                SIZE,
            ])
            .args(program)
            .env("TMPDIR", disk.path());
        command
    };
    let may_mount = in_a_namespace(&["true"]).status();
    let may_mount = may_mount.is_ok_and(|status| status.success());
    if !requirement::are_there(&[("the right to mount in a namespace of one's own", may_mount)]) {
        return;
    }
    let tests = std::env::current_exe().unwrap();
    let part = "faults::disk::with_a_full_disk";
    let status = in_a_namespace(&[tests.to_str().unwrap(), "--exact", part])
        .args(["--ignored", "--nocapture"])
        .status();
    assert!(status.unwrap().success(), "{part} failed, see above");
}

/// This is a part of the test above, not a test of its own. It runs where it may mount.
#[test]
#[ignore = "a part of a test that runs in a mount namespace of its own"]
fn with_a_full_disk() {
    let postgres = Postgres::start().unwrap();
    let mut site = Site::start(&postgres, 1);
    let filler = std::env::temp_dir().join("filler");
    fill(&filler);
    let value = "x".repeat(20_000);
    // The database still has some room in its existing files.
    let mut longest = std::time::Duration::ZERO;
    let mut stored = 0;
    let refused = (0..400).find_map(|number: u32| {
        let (put, took) = site.put(0, &format!("secret_{number}"), &value);
        longest = longest.max(took);
        stored = number;
        (put.status != 200).then_some(put)
    });
    let refused = refused.expect("a full disk takes no more");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["code"], "vault_unavailable");
    assert!(longest <= OPERATION + SLACK, "{longest:?}");
    site.is_logged("the disk is full");

    std::fs::remove_file(filler).unwrap();
    let (put, took) = site.put(0, "after", &value);
    assert_eq!(put.status, 200, "{}", put.text());
    println!(
        "disk full: refused after {stored} more puts, longest {} ms; with room again a put took {} ms",
        longest.as_millis(),
        took.as_millis()
    );
    assert!(took <= SLACK, "{took:?}");
    site.reckon();
}

/// Writes until the disk is full.
fn fill(path: &std::path::Path) {
    let mut file = File::create(path).unwrap();
    for bytes in [65_536, 4_096, 1] {
        while file.write_all(&vec![0; bytes]).is_ok() {}
    }
}
