//! Data of another user than the one who runs a command: a volume as Kubernetes makes it, and a
//! service's folder where root is the operator.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use tavora_tests::binary::{Ended, end, host, run};
use tavora_tests::daemon::Daemon;
use tavora_tests::fixture::component_cache;
use tempfile::TempDir;

/// The user of the shipped container and of `DynamicUser=`: an id without a name.
const SERVICE: u32 = 65_532;

/// Whether this is root. If not, the test says that it has nothing to do.
fn is_root() -> bool {
    if geteuid().is_root() {
        return true;
    }
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {name}: only root can give files away"
    );
    false
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("root may");
}

/// A folder that everybody may enter, with a KEK of the service.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    set_mode(folder.path(), 0o755);
    assert_eq!(
        run(folder.path(), &["kek", "generate", "--out", "kek"]).status,
        0
    );
    chown(folder.path().join("kek"), Some(SERVICE), Some(SERVICE)).expect("root may");
    folder
}

/// A command that the service runs on `data`.
fn service(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = host(folder);
    let kek = format!("file://{}", folder.join("kek").display());
    command
        .uid(SERVICE)
        .gid(SERVICE)
        .args(arguments)
        .args(["--data", "data"])
        .env("TAVORA_SECRET_KEK", kek);
    command
}

/// All files and folders below `path`, including itself.
fn all_in(path: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if found[next]
            .symlink_metadata()
            .expect("it is there")
            .is_dir()
        {
            let entries = std::fs::read_dir(&found[next]).expect("root may read");
            found.extend(entries.map(|entry| entry.expect("readable").path()));
        }
        next += 1;
    }
    found
}

/// Copies the components that all tests have compiled, as files of the service.
fn give_cache(data: &Path) {
    // A file that another test is writing now may be missing. It is then compiled again.
    let _ = Command::new("cp")
        .arg("-rL")
        .arg(component_cache())
        .arg(data.join("cache"))
        .output()
        .expect("there is cp");
    for path in all_in(&data.join("cache")) {
        chown(&path, Some(SERVICE), Some(SERVICE)).expect("root may");
    }
    set_mode(&data.join("cache"), 0o700);
}

/// Changes rights as the kubelet does at each mount of a volume with `fsGroup`.
fn mount_with_group(data: &Path) {
    for path in all_in(data) {
        let found = path.metadata().expect("it is there");
        chown(&path, None, Some(SERVICE)).expect("root may");
        let more = if found.is_dir() { 0o2070 } else { 0o060 };
        set_mode(&path, found.mode() & 0o7777 | more);
    }
}

#[test]
fn a_volume_with_a_group_of_kubernetes_is_served_and_told_of() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("new");
    chown(&data, Some(0), Some(SERVICE)).expect("root may");
    set_mode(&data, 0o2775);
    give_cache(&data);
    let serve = || {
        Daemon::spawn(&mut service(
            folder.path(),
            &["serve", "--listen", "127.0.0.1:0"],
        ))
    };
    let (status, log) = serve().stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("its group can write to this"), "{log}");

    // Each mount gives the group its rights again: to the database, its log, the token, and the
    // cache.
    mount_with_group(&data);
    let (status, log) = serve().stop();
    assert!(status.success(), "{log}");
    // One of the warnings is about the folder with everything in it.
    let told = log.lines().filter(|line| line.contains(" WARN "));
    let told: Vec<&str> = told.filter(|line| line.contains("group")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("its group can write to this"), "{log}");
    let database = data.join("tavora.db").metadata().expect("it is there");
    assert_eq!(database.mode() & 0o777, 0o660);
    for arguments in [
        &["app", "create", "Shop"][..],
        &["app", "list"],
        &["audit", "verify"],
    ] {
        let ended = end(service(folder.path(), arguments));
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    }

    // Rights of everybody are still refused, and so are those of another group.
    for (path, mode, group) in [
        (data.clone(), 0o2777, SERVICE),
        (data.clone(), 0o2775, SERVICE + 1),
        (data.join("admin-token"), 0o664, SERVICE),
        (data.join("admin-token"), 0o660, SERVICE + 1),
        (data.join("cache"), 0o2777, SERVICE),
    ] {
        let before = path.metadata().expect("it is there");
        chown(&path, None, Some(group)).expect("root may");
        set_mode(&path, mode);
        let refused = end(service(
            folder.path(),
            &["serve", "--listen", "127.0.0.1:0"],
        ));
        assert_eq!(
            refused.status,
            2,
            "{} {mode:o}: {refused:?}",
            path.display()
        );
        assert!(refused.stderr.contains("chmod "), "{refused:?}");
        chown(&path, None, Some(before.gid())).expect("root may");
        set_mode(&path, before.mode() & 0o7777);
    }
}

/// A service's folder with an app and its designated vault, which the service made itself.
fn service_folder() -> TempDir {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("new");
    chown(&data, Some(SERVICE), Some(SERVICE)).expect("root may");
    set_mode(&data, 0o700);
    for arguments in [
        &["app", "create", "Shop"][..],
        &["vault", "create", "main"],
        &["vault", "designate", "main"],
    ] {
        let ended = end(service(folder.path(), arguments));
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    }
    folder
}

/// Runs a command as root on `data`, with a KEK that only root may read.
fn root(folder: &Path, arguments: &[&str]) -> Ended {
    let kek = folder.join("kek-of-root");
    if !kek.exists() {
        std::fs::copy(folder.join("kek"), &kek).expect("root may");
        set_mode(&kek, 0o600);
    }
    let mut command = host(folder);
    command
        .args(arguments)
        .args(["--data", "data"])
        .env("TAVORA_SECRET_KEK", format!("file://{}", kek.display()));
    end(command)
}

#[track_caller]
fn belongs_to_the_service(data: &Path) {
    for path in all_in(data) {
        let found = path.symlink_metadata().expect("it is there");
        assert_eq!(
            (found.uid(), found.gid()),
            (SERVICE, SERVICE),
            "{}",
            path.display()
        );
    }
}

#[test]
fn roots_commands_on_a_services_folder_work_as_the_service_and_leave_no_file_of_roots() {
    if !is_root() {
        return;
    }
    let folder = service_folder();
    let (path, data) = (folder.path(), folder.path().join("data"));
    std::fs::write(path.join("value"), "value-of-the-tests").expect("root may");
    std::fs::write(path.join("tavora.toml"), "[limits.agent]\ncpu_ms = 4_000\n").expect("root may");
    for file in ["value", "tavora.toml"] {
        set_mode(&path.join(file), 0o600);
    }
    for arguments in [
        &["secret", "put", "a", "--from-file", "value"][..],
        &["secret", "list"],
        &["app", "create", "Second"],
        &["app", "use", "shop"],
        &["key", "create", "ci"],
        &["vault", "list"],
        &["kek", "status"],
        &["kek", "rewrap"],
        &["kek", "verify"],
        &["audit", "verify"],
        &["backup", "data/backup.db"],
        &["restore", "--dry-run", "data/backup.db"],
    ] {
        let ended = root(path, arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
        let note = format!("note: this works as the user {SERVICE}, to whom ");
        assert!(ended.stderr.starts_with(&note), "{arguments:?}: {ended:?}");
        belongs_to_the_service(&data);
    }
    // Root reads the backup, which it has moved to where the service may not look.
    let backup = path.join("of-root.db");
    std::fs::rename(data.join("backup.db"), &backup).expect("root may");
    chown(&backup, Some(0), Some(0)).expect("root may");
    let restored = root(path, &["restore", "--replace", "of-root.db"]);
    assert_eq!(restored.status, 0, "{restored:?}");
    belongs_to_the_service(&data);
    set_mode(&path.join("tavora.toml"), 0o644);
    let listed = end(service(path, &["secret", "list", "--json"]));
    assert!(listed.stdout.contains("\"a\""), "{listed:?}");

    // The service may not write there, so the error tells root how to do it.
    let refused = root(path, &["backup", "elsewhere.db"]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("and move it from there") && refused.stderr.contains("/data"),
        "{refused:?}"
    );
    assert!(!path.join("elsewhere.db").exists());
}

#[test]
fn a_folder_behind_one_that_root_alone_may_pass_is_reached() {
    if !is_root() {
        return;
    }
    if !Command::new("unshare")
        .args(["-m", "true"])
        .status()
        .is_ok_and(|it| it.success())
    {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: this root may not make a mount namespace"
        );
        return;
    }
    let folder = service_folder();
    let (path, data) = (folder.path(), folder.path().join("data"));
    // This is systemd's layout: /var/lib/private belongs to root with mode 0700, and the folder's
    // usual name leads into it.
    let private = path.join("private");
    std::fs::create_dir(&private).expect("new");
    set_mode(&private, 0o700);
    std::fs::rename(&data, private.join("data")).expect("root may");
    std::os::unix::fs::symlink("private/data", &data).expect("new");
    for arguments in [
        &["app", "list"][..],
        &["secret", "list"],
        &["audit", "verify"],
    ] {
        let ended = root(path, arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    }
    let mut put = Command::new("sh");
    put.args([
        "-c",
        "printf value-of-the-tests | \"$0\" secret put a --data data",
    ])
    .arg(tavora_tests::binary::built("tavora-host"))
    .current_dir(path)
    .env(
        "TAVORA_SECRET_KEK",
        format!("file://{}", path.join("kek-of-root").display()),
    );
    let put = end(put);
    assert_eq!(put.status, 0, "{put:?}");
    belongs_to_the_service(&private.join("data"));
    assert_eq!(std::fs::read_dir(&private).expect("root may").count(), 1);
}
