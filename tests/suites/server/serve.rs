//! `tavora-host serve` as an operator runs it: the KEK, the admin token, the address, the limit of open files.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tavora_tests::binary::{built, host, run};
use tavora_tests::daemon::Daemon;

fn serve(folder: &Path, variables: &[(&str, &str)]) -> Daemon {
    let mut command = host(folder);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    Daemon::spawn(command.envs(variables.iter().copied()))
}

/// Runs `serve` where it must refuse to start.
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

fn as_operator(daemon: &Daemon, token: &str, method: &str, path: &str, body: &str) -> String {
    daemon.ask(&format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
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
    assert!(daemon.get("/healthz").starts_with("HTTP/1.1 200"));
    let ready = daemon.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(
        ready.contains(r#""code":"secret_vaults_disabled""#),
        "{ready}"
    );
    let (status, log) = daemon.stop();
    assert_eq!(status, Some(0));
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
    assert!(daemon.get("/readyz").starts_with("HTTP/1.1 200"));
    let with_kek = |arguments: &[&str]| {
        let mut child = host(path)
            .args(arguments)
            .env("TAVORA_SECRET_KEK", &right)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        // Commands that read nothing may be gone already.
        let _ = stdin.write_all(b"value\n");
        drop(stdin);
        assert!(child.wait().expect("it ends").success(), "{arguments:?}");
    };
    with_kek(&["app", "create", "shop"]);
    with_kek(&["vault", "create", "main"]);
    with_kek(&["secret", "put", "api_key", "--vault", "main"]);
    assert_eq!(daemon.stop().0, Some(0));

    let status = run(path, &["kek", "status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let needed = status["keks"][0]["kek_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let daemon = serve(path, &[("TAVORA_SECRET_KEK", &kek(path))]);
    let ready = daemon.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(
        ready.contains(r#""code":"kek_mismatch""#) && ready.contains(&needed),
        "{ready}"
    );
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
    let apps = as_operator(&daemon, token, "GET", "/api/admin/apps", "");
    assert!(apps.starts_with("HTTP/1.1 200"), "{apps}");
    let other = as_operator(
        &daemon,
        &token.replace('a', "b"),
        "GET",
        "/api/admin/apps",
        "",
    );
    assert!(other.starts_with("HTTP/1.1 401"), "{other}");
    assert!(daemon.said.contains("admin-token"), "{}", daemon.said);
    let said = daemon.said.clone();
    let (_, log) = daemon.stop();
    assert!(!(said + &log).contains(&token[4..]), "it was printed");

    let again = serve(path, &[]);
    let apps = as_operator(&again, token, "GET", "/api/admin/apps", "");
    assert!(apps.starts_with("HTTP/1.1 200"), "{apps}");
    drop(again);

    let own = "a-token-that-the-operator-made-at-random";
    let daemon = serve(path, &[("TAVORA_ADMIN_TOKEN", own)]);
    let get = |token| as_operator(&daemon, token, "GET", "/api/admin/apps", "");
    assert!(get(own).starts_with("HTTP/1.1 200"));
    assert!(
        get(token).starts_with("HTTP/1.1 401"),
        "the file opens it still"
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
    assert!(!other.path().join(".tavora").exists(), "something was made");
    assert!(daemon.get("/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn limits_of_heads_and_bodies_hold_for_the_real_routes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(
        folder.path().join("tavora.toml"),
        "[server.limits]\nrequest_body_timeout_ms = 500\nmax_headers = 20\n",
    )
    .expect("writable");
    let token = "a-token-that-the-operator-made-at-random";
    let daemon = serve(folder.path(), &[("TAVORA_ADMIN_TOKEN", token)]);
    let post = |body: &str| as_operator(&daemon, token, "POST", "/api/admin/apps", body);
    let json = r#"{"name": "shop"}"#;
    let padded = |bytes: usize| json.to_owned() + &" ".repeat(bytes - json.len());

    let answer = post(&padded(1 << 20));
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let answer = post(&padded((1 << 20) + 1));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains(r#""code":"body_too_large""#), "{answer}");
    let answer = as_operator(
        &daemon,
        "wrong",
        "POST",
        "/api/admin/apps",
        &padded(6 << 20),
    );
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    let headers = "X: y\r\n".repeat(30);
    let answer = daemon.ask(&format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(
        answer.contains("x-request-id: ") && answer.contains(r#""code":"headers_too_large""#),
        "{answer}"
    );

    let begun = Instant::now();
    let mut trickling = daemon.connect();
    write!(
        trickling,
        "POST /api/admin/apps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    .expect("it reads");
    trickling
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("not zero");
    let mut answer = [0; 1_024];
    let read = loop {
        // Beyond the end it may be refused.
        let _ = trickling.write_all(b" ");
        match std::io::Read::read(&mut trickling, &mut answer) {
            Ok(read) => break read,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(5), "{error}"),
        }
    };
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn guesses_of_the_admin_token_are_slowed_down() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(
        folder.path().join("tavora.toml"),
        "[server.auth_failures]\nburst = 3\nper_minute = 1\n",
    )
    .expect("writable");
    let token = "a-token-that-the-operator-made-at-random";
    let daemon = serve(folder.path(), &[("TAVORA_ADMIN_TOKEN", token)]);
    let get = |token: &str| as_operator(&daemon, token, "GET", "/api/admin/apps", "");
    for _ in 0..3 {
        assert!(get("wrong").starts_with("HTTP/1.1 401"));
    }
    for guess in ["wrong", token] {
        let answer = get(guess);
        assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
        assert!(
            answer.contains("retry-after: ") && answer.contains(r#""code":"too_many_requests""#),
            "{answer}"
        );
    }
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
    let held: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    let begun = Instant::now();
    assert!(daemon.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    drop(held);
    let (status, log) = daemon.stop();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("no connection can be accepted"), "{log}");
    // An error of the same kind again and again is not worth a line each time it could be tried.
    assert!(
        log.matches("no connection can be accepted").count() < 200,
        "{log}"
    );
}
