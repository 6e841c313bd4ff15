//! The worker that inspects and compiles what others supply: its start, its confinement, and the
//! error when there is none. The hostile guests show what it does to bombs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tavora_host::config::Config;
use tavora_host::platform::Platform;
use tavora_host::runtime::worker::WorkerConfig;
use tavora_tests::binary::{built, host, run};
use tavora_tests::fixture::{Fixture, component_cache};
use tavora_tests::process::Process;
use tavora_tests::serving::share_component_cache;

const QUIET: &str = include_str!("../../guests/quiet.wat");

/// The result of loading a good agent on a platform whose worker is `program`.
async fn said_with(fixture: &Fixture, program: Option<&Path>) -> String {
    let config = Config {
        worker: WorkerConfig {
            program: program.map(Path::to_owned),
        },
        ..Config::default()
    };
    let vaults = fixture.vaults().clone();
    let platform = Platform::start(vaults, &config, Some(&component_cache()))
        .await
        .expect("the built-in components need no worker");
    let bytes = wat::parse_str(QUIET).expect("a component");
    match platform.load_agent(bytes).await {
        Ok(_) => "loaded".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// A program of these lines.
fn script(folder: &Path, lines: &str) -> std::path::PathBuf {
    let path = folder.join("worker");
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("writable");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("it is ours");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_the_setting_is_named_and_with_a_wrong_one_what_is_wrong() {
    let fixture = Fixture::without_secret("").await;
    let none = said_with(&fixture, None).await;
    assert!(none.contains("[worker] program"), "{none}");
    let absent = said_with(&fixture, Some(Path::new("/absent/worker"))).await;
    assert!(absent.contains("/absent/worker does not start"), "{absent}");
    let other = said_with(&fixture, Some(Path::new("/bin/true"))).await;
    assert!(other.contains("stopped unexpectedly"), "{other}");
    let folder = fixture.folder.path();
    let newer = "printf '\\026\\0\\0\\0\\0\\0\\0\\0{\"OtherVersion\":\"9.9\"}'";
    let newer = said_with(&fixture, Some(&script(folder, newer))).await;
    assert!(newer.contains("another version, 9.9 and not"), "{newer}");
    let loaded = said_with(&fixture, Some(&built("tavora-host"))).await;
    assert_eq!(loaded, "loaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_started_with_no_variable_of_its_parent() {
    let fixture = Fixture::without_secret("").await;
    let folder = fixture.folder.path();
    let seen = folder.join("seen");
    let lines = format!("/usr/bin/env > {0:?}\n/bin/pwd >> {0:?}", seen);
    said_with(&fixture, Some(&script(folder, &lines))).await;
    let seen = std::fs::read_to_string(seen).expect("the worker wrote it");
    let cache = component_cache();
    for line in seen.lines() {
        // These are the shell's own variables.
        let is_own = ["PWD=", "OLDPWD=", "SHLVL=", "_="]
            .iter()
            .any(|own| line.starts_with(own));
        let is_place = line == "/" || Path::new(line).starts_with(&cache);
        assert!(is_own || is_place, "{line:?} in {seen}");
    }
}

#[test]
fn a_worker_confines_itself_before_it_reads_its_task() {
    // This shell leaves a file open to its children, as a library may.
    let command = format!(
        "exec 9< /etc/passwd; exec {:?} component-worker 7 268435456 4096",
        built("tavora-host")
    );
    let child = Command::new("/bin/sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let worker = Process::from(child);
    let own = |file: &str| {
        let path = format!("/proc/{}/{file}", worker.id());
        std::fs::read_to_string(path).expect("it waits for its task")
    };
    let line = |text: &str, name: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(name)).expect(name);
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    // This is the last limit that it sets.
    eventually(|| line(&own("limits"), "Max cpu time") == "7 8");
    let limits = own("limits");
    for (name, allowed) in [
        ("Max core file size", "0 0"),
        ("Max file size", "4096 4096"),
        ("Max data size", "268435456 268435456"),
        ("Max open files", "64 64"),
    ] {
        assert_eq!(line(&limits, name), allowed, "{limits}");
    }
    assert_eq!(line(&own("status"), "NoNewPrivs:"), "1");
    let open = std::fs::read_dir(format!("/proc/{}/fd", worker.id())).expect("it runs");
    let mut open: Vec<_> = open
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
}

#[test]
fn a_worker_dies_with_its_host() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    share_component_cache(&path.join(".tavora"));
    assert_eq!(run(path, &["app", "create", "shop"]).status, 0);
    // The compiler takes minutes for this.
    let body = "loop block i32.const 1 local.tee 7 br_if 0 end end ".repeat(200_000);
    let locals = "i32 ".repeat(2_000);
    let start = QUIET.find("(component").expect("a component") + "(component".len();
    let (head, rest) = QUIET.split_at(start);
    let slow = format!("{head} (core module (func (local {locals}) {body})) {rest}");
    let bytes = wat::parse_str(slow).expect("a component");
    std::fs::write(path.join("slow.wasm"), bytes).expect("writable");
    let mut command = host(path);
    command
        .args(["run", "--component", "slow.wasm", "-e", ""])
        .args(["--config", "large.toml"])
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    std::fs::write(
        path.join("large.toml"),
        "[limits.component]\nmax_function_bytes = 16777216\n",
    )
    .expect("writable");
    let mut host = Process::from(command.spawn().expect("the binary starts"));
    let id = host.id().to_string();
    eventually(|| !children(&id).is_empty());
    let workers = children(&id);
    host.kill();
    eventually(|| workers.iter().all(|worker| !is_worker(worker)));
}

/// Waits until something holds.
fn eventually(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "the condition never holds"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The workers whose parent is the process with this id.
fn children(parent: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("Linux");
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    ids.filter(|id| is_worker(id) && parent_of(id).as_deref() == Some(parent))
        .collect()
}

fn parent_of(id: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(line.trim().to_owned())
}

fn is_worker(id: &str) -> bool {
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0);
    arguments.nth(1) == Some(b"component-worker")
}

#[test]
fn the_first_use_of_a_component_says_so_and_the_next_does_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    share_component_cache(&path.join(".tavora"));
    assert_eq!(run(path, &["app", "create", "shop"]).status, 0);
    let nonce = format!("(component (core module (func (drop (i64.const {}))))", {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("after 1970").as_nanos() as u64
    });
    let tool = include_str!("../../guests/tool-quiet.wat").replacen("(component", &nonce, 1);
    let bytes = wat::parse_str(tool).expect("a component");
    std::fs::write(path.join("mine.wasm"), bytes).expect("writable");
    let toml = "[tools.mine]\ncomponent = \"mine.wasm\"\n";
    std::fs::write(path.join("tavora.toml"), toml).expect("writable");
    let said = "compiling a component that is new here";
    let first = run(path, &["tool", "list"]);
    assert_eq!(first.status, 0, "{first:?}");
    let lines = first.stderr.lines().filter(|line| line.contains(said));
    let lines: Vec<&str> = lines.filter(|line| line.contains("mine")).collect();
    assert_eq!(lines.len(), 1, "{first:?}");
    for command in [
        ["tool", "list"].as_slice(),
        &["tool", "call", "mine", "act"],
    ] {
        let next = run(path, command);
        assert_eq!(next.status, 0, "{next:?}");
        assert!(!next.stderr.contains(said), "{next:?}");
    }
}
