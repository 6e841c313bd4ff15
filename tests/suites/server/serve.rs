//! `tavora-host serve` as an operator runs it: the KEK, the admin token, the address, the limit of
//! open files.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tavora_tests::binary::{built, host, run};
use tavora_tests::daemon::Daemon;
use tavora_tests::eventually::{PATIENCE, eventually, wait_until};
use tavora_tests::serving::share_component_cache;
use tavora_tests::wire::{Answer, Request, connect};

/// The admin token of [`configured`].
pub const OWN_TOKEN: &str = "a-token-that-the-operator-made-at-random";

/// Starts `serve` on the data folder `.tavora` of `folder`, with these variables.
pub fn serve(folder: &Path, variables: &[(&str, &str)]) -> Daemon {
    let mut command = host(folder);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    Daemon::spawn(command.envs(variables.iter().copied()))
}

/// Starts `serve` with a configuration and [`OWN_TOKEN`].
pub fn configured(text: &str) -> (tempfile::TempDir, Daemon) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("tavora.toml"), text).expect("writable");
    let daemon = serve(folder.path(), &[("TAVORA_ADMIN_TOKEN", OWN_TOKEN)]);
    (folder, daemon)
}

fn get(daemon: &Daemon, path: &str) -> Answer {
    daemon.send(&Request::new("GET", path))
}

/// Asks for the list of apps, which only the operator may see.
fn apps(daemon: &Daemon, token: &str) -> Answer {
    let request = Request::new("GET", "/api/admin/apps");
    daemon.send(&request.header("authorization", format!("Bearer {token}")))
}

/// Runs `serve` where it must refuse to start. Returns its message.
fn refused(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let ended = host(folder)
        .arg("serve")
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("the binary starts");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    String::from_utf8(ended.stderr).expect("text")
}

fn kek(folder: &Path) -> String {
    run(folder, &["kek", "generate"]).stdout.trim().to_owned()
}

#[test]
fn localhost_is_an_address_to_listen_on_and_other_names_are_told_what_is_wanted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    share_component_cache(&path.join(".tavora"));
    let mut command = host(path);
    command.args(["serve", "--listen", "localhost:0"]);
    let daemon = Daemon::spawn(&mut command);
    let port = daemon.address.port();
    for ip in ["127.0.0.1", "[::1]"] {
        let address: std::net::SocketAddr = format!("{ip}:{port}").parse().expect("an address");
        // A machine without IPv6 has no such address.
        if std::net::TcpListener::bind((address.ip(), 0)).is_ok() {
            let answer = Request::new("GET", "/healthz")
                .send(address)
                .expect("an answer");
            assert_eq!(answer.status, 200, "{address}");
        }
    }
    drop(daemon);
    for wrong in ["8080", "example.com:8080", "localhost"] {
        let refused = run(path, &["serve", "--listen", wrong]);
        assert_eq!(refused.status, 2, "{refused:?}");
        assert!(
            refused.stderr.contains("for example 127.0.0.1:8080"),
            "{refused:?}"
        );
        std::fs::write(
            path.join("tavora.toml"),
            format!("[server]\nlisten = {wrong:?}\n"),
        )
        .expect("writable");
        let refused = run(path, &["serve"]);
        assert_eq!(refused.status, 2, "{refused:?}");
        assert!(
            refused.stderr.contains("for example 127.0.0.1:8080"),
            "{refused:?}"
        );
        std::fs::remove_file(path.join("tavora.toml")).expect("it is there");
    }
}

#[test]
fn it_starts_without_a_kek_and_says_so_and_never_takes_the_file_of_dev() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    std::fs::DirBuilder::new()
        .create(path.join(".tavora"))
        .expect("new");
    run(path, &["kek", "generate", "--out", ".tavora/kek"]);
    let daemon = serve(path, &[]);
    assert!(
        path.join(".tavora/tavora.db").exists(),
        "no database was made"
    );
    assert_eq!(get(&daemon, "/healthz").status, 200);
    let ready = get(&daemon, "/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["code"], "secret_vaults_disabled");
    daemon.signal(Signal::SIGHUP);
    assert_eq!(
        get(&daemon, "/healthz").status,
        200,
        "SIGHUP ended the host"
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(
        log.matches("TAVORA_SECRET_KEK is not set").count(),
        1,
        "{log}"
    );
    for step in ["listening", "stopping", "stopped"] {
        assert!(log.contains(step), "{step}: {log}");
    }
}

#[test]
fn it_starts_with_a_wrong_kek_and_names_the_one_that_is_needed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let right = kek(path);
    let daemon = serve(path, &[("TAVORA_SECRET_KEK", &right)]);
    assert_eq!(get(&daemon, "/readyz").status, 200);
    let with_kek = |arguments: &[&str]| {
        let mut child = host(path)
            .args(arguments)
            .env("TAVORA_SECRET_KEK", &right)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        // Commands that read nothing may have ended already.
        let _ = stdin.write_all(b"value\n");
        drop(stdin);
        assert!(child.wait().expect("it ends").success(), "{arguments:?}");
    };
    with_kek(&["app", "create", "shop"]);
    with_kek(&["vault", "create", "main"]);
    with_kek(&["secret", "put", "api_key", "--vault", "main"]);
    drop(daemon);

    let status = run(path, &["kek", "status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let needed = status["keks"][0]["kek_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let daemon = serve(path, &[("TAVORA_SECRET_KEK", &kek(path))]);
    let ready = get(&daemon, "/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["code"], "kek_mismatch");
    assert_eq!(ready.json()["kek_id"], needed.as_str());
    let (_, log) = daemon.stop();
    assert!(log.contains(&needed), "{log}");
}

#[test]
fn the_admin_token_is_made_once_for_its_owner_and_never_printed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let daemon = serve(path, &[]);
    let file = path.join(".tavora/admin-token");
    let token = std::fs::read_to_string(&file).expect("it was made");
    let token = token.trim_end();
    let mode = file.metadata().expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(apps(&daemon, token).status, 200);
    assert_eq!(apps(&daemon, &token.replace(['a', 'b'], "c")).status, 401);
    let (_, log) = daemon.stop();
    assert!(log.contains("made an admin token in .tavora/admin-token"));
    assert!(!log.contains(&token[4..]), "the log has the token");

    let again = serve(path, &[]);
    assert_eq!(apps(&again, token).status, 200);
    drop(again);

    let daemon = serve(path, &[("TAVORA_ADMIN_TOKEN", OWN_TOKEN)]);
    assert_eq!(apps(&daemon, OWN_TOKEN).status, 200);
    assert_eq!(
        apps(&daemon, token).status,
        401,
        "the file's token is still accepted"
    );
}

#[test]
fn what_cannot_be_an_admin_token_is_refused_without_its_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let listen = ["--listen", "127.0.0.1:0"];
    let error = refused(
        path,
        &[("TAVORA_ADMIN_TOKEN", "hunter2-of-31-characters-in-all")],
        &listen,
    );
    assert!(
        error.contains("TAVORA_ADMIN_TOKEN: the admin token has 31 characters"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");

    let file = path.join(".tavora/admin-token");
    assert!(!file.exists(), "a file was made beside the variable");
    std::fs::write(&file, "hunter2").expect("writable");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("owned");
    let error = refused(path, &[], &listen);
    assert!(
        error.contains("admin-token: the admin token has 7 characters"),
        "{error}"
    );
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("owned");
    let error = refused(path, &[], &listen);
    assert!(
        error.contains("chmod 600") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn two_hosts_on_one_address_are_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let daemon = serve(folder.path(), &[]);
    let other = tempfile::tempdir().expect("a temporary folder");
    let address = daemon.address.to_string();
    let error = refused(other.path(), &[], &["--listen", &address]);
    let expected = format!(
        "error: cannot listen on {address}: Address already in use (os error 98); choose another with --listen\n"
    );
    assert_eq!(error, expected);
    assert!(
        !other.path().join(".tavora").exists(),
        "the data folder was made"
    );
    assert_eq!(get(&daemon, "/healthz").status, 200);
}

#[test]
fn limits_of_heads_and_bodies_hold_for_the_real_routes() {
    let (_folder, daemon) =
        configured("[server.limits]\nrequest_body_timeout_ms = 500\nmax_headers = 20\n");
    let many = (0..30).fold(Request::new("GET", "/healthz"), |request, _| {
        request.header("x", "y")
    });
    let answer = daemon.send(&many);
    assert_eq!(answer.status, 431);
    assert_eq!(answer.json()["code"], "headers_too_large");
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");

    let begun = Instant::now();
    let mut trickling = connect(daemon.address).expect("it listens");
    write!(
        trickling,
        "POST /api/admin/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OWN_TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    .expect("it reads");
    let pause = Some(Duration::from_millis(50));
    trickling.set_read_timeout(pause).expect("not zero");
    let mut answer = [0; 1_024];
    let read = loop {
        // Writing after the end may fail.
        let _ = trickling.write_all(b" ");
        match trickling.read(&mut answer) {
            Ok(read) => break read,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    };
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

#[test]
fn guesses_of_the_admin_token_are_slowed_down() {
    let (_folder, daemon) = configured("[server.auth_failures]\nburst = 3\nper_minute = 1\n");
    for _ in 0..3 {
        assert_eq!(apps(&daemon, "wrong").status, 401);
    }
    for guess in ["wrong", OWN_TOKEN] {
        let answer = apps(&daemon, guess);
        assert_eq!(answer.status, 429);
        assert_eq!(answer.json()["code"], "too_many_requests");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}

#[test]
fn requests_of_a_key_are_limited_if_the_operator_says_so() {
    let (_folder, daemon) = configured("[server.rate_limit]\nrequests_per_second = 1\nburst = 2\n");
    let post = |path: &str, body| {
        let request = Request::new("POST", path).json(&body);
        daemon.send(&request.header("authorization", format!("Bearer {OWN_TOKEN}")))
    };
    let app = post("/api/admin/apps", json!({ "name": "shop" })).json();
    let keys = format!(
        "/api/admin/apps/{}/api-keys",
        app["id"].as_str().expect("an id")
    );
    let make_key = || post(&keys, json!({ "name": "a key" })).json()["key"].clone();
    let (one, other) = (make_key(), make_key());
    let ask = |key: &serde_json::Value| {
        let request = Request::new("GET", "/api/sdk/app");
        daemon.send(&request.header("x-api-key", key.as_str().expect("a key")))
    };
    assert_eq!([(); 2].map(|()| ask(&one).status), [200, 200]);
    let refused = eventually("is refused", || {
        let answer = ask(&one);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["code"], "too_many_requests");
    assert_eq!(ask(&other).status, 200);
    wait_until("may ask again", || ask(&one).status == 200);
}

#[test]
fn running_out_of_open_files_ends_waiting_connections_and_not_the_host() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("sh");
    command
        .current_dir(folder.path())
        .args(["-c", "ulimit -n 60; exec \"$0\" serve --listen 127.0.0.1:0"])
        .arg(built("tavora-host"));
    let daemon = Daemon::spawn(&mut command);
    let held = [(); 100].map(|()| connect(daemon.address).expect("it listens"));
    assert_eq!(get(&daemon, "/healthz").status, 200);
    drop(held);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("no connection can be accepted"), "{log}");
    // An error that repeats is not worth a line for each attempt.
    assert!(
        log.matches("no connection can be accepted").count() < 200,
        "{log}"
    );
}

#[test]
fn the_systemd_unit_is_one_that_systemd_understands() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/tavora-host.service");
    let text = std::fs::read_to_string(unit).expect("it is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let installed = "/usr/local/bin/tavora-host";
    assert!(
        text.contains(&format!("ExecStart={installed} serve ")),
        "{text}"
    );
    let here = text.replace(installed, &built("tavora-host").display().to_string());
    let copy = folder.path().join("tavora-host.service");
    std::fs::write(&copy, here).expect("writable");
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(copy)
        .output();
    match verified {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: there is no systemd-analyze here");
        }
        verified => {
            let verified = verified.expect("it starts");
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(verified.status.success() && said.is_empty(), "{said}");
        }
    }
}
