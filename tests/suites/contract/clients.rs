//! The clients in three languages. Each walks through the whole contract and makes every check.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use axum::http::HeaderMap;
use tavora_tests::requirement::{answers, are_there, tests_folder, tools_folder};
use tavora_tests::serving::Serving;
use tavora_tests::upstream::{Upstream, search_results};

/// Each client must make at least this many checks of the contract.
const CHECKS: usize = 58;

/// A client, ready to be started.
struct Client {
    language: &'static str,
    command: Command,
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_three_languages_find_the_whole_contract() {
    let clients: Vec<Client> = [python(), typescript(), go()]
        .into_iter()
        .flatten()
        .collect();
    let upstream = Upstream::start(|seen| search_results(&[&credential(&seen.headers)])).await;
    let serving = Serving::start(&format!(
        "[server.auth_failures]\nburst = 100\n[egress]\nallow_private_origins = [{0:?}]\n\
         [tools.brave-search.config]\nbase_url = {0:?}\n",
        upstream.url()
    ));
    let running: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let Client {
                language,
                mut command,
            } = client;
            let app = serving.make_app(&format!("{language} app"));
            let other = serving.make_app(&format!("{language} other"));
            let (revoked_id, revoked) =
                serving.make_key(&app.id, &serde_json::json!({ "name": "revoked" }));
            let path = format!("/api/admin/apps/{}/api-keys/{revoked_id}", app.id);
            assert_eq!(serving.admin("DELETE", &path, None).status, 200);
            command
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("TAVORA_URL", serving.url())
                .env("TAVORA_API_KEY", &app.key)
                .env("TAVORA_OTHER_API_KEY", &other.key)
                .env("TAVORA_REVOKED_API_KEY", &revoked);
            (
                language,
                std::thread::spawn(move || command.output().expect("the client starts")),
            )
        })
        .collect();
    let ended: Vec<_> = running
        .into_iter()
        .map(|(language, client)| (language, client.join().expect("it does not panic")))
        .collect();
    let checks: Vec<_> = ended
        .iter()
        .map(|(language, output)| (language, checks_of(language, output)))
        .collect();
    for pair in checks.windows(2) {
        let [(one, its), (other, others)] = pair else {
            unreachable!("windows of two")
        };
        assert_eq!(its, others, "{one} and {other} differ in their checks");
    }
}

/// The checks that a client made. Each must have passed.
fn checks_of(language: &str, output: &Output) -> Vec<String> {
    let printed = String::from_utf8_lossy(&output.stdout);
    let shown = format!(
        "{language}, {}:\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let checks: Vec<_> = printed
        .lines()
        .map(|line| match line.strip_prefix("ok ") {
            Some(name) => name.to_owned(),
            None => panic!("{shown}"),
        })
        .collect();
    assert!(output.status.success(), "{shown}");
    assert!(checks.len() >= CHECKS, "only {} of {shown}", checks.len());
    checks
}

/// The credential that the search tool sent.
fn credential(headers: &HeaderMap) -> String {
    let credential = headers.get("x-subscription-token");
    let credential = credential.and_then(|it| it.to_str().ok());
    credential.unwrap_or("no credential").to_owned()
}

fn folder(language: &str) -> PathBuf {
    tests_folder().join("contract").join(language)
}

fn python() -> Option<Client> {
    are_there(&[("Python", answers("python3", &["--version"]))]).then(|| {
        let mut command = Command::new("python3");
        // -B keeps Python from writing compiled files beside the sources.
        command.arg("-B").arg(folder("python").join("scenario.py"));
        Client {
            language: "python",
            command,
        }
    })
}

fn typescript() -> Option<Client> {
    let compiler = folder("typescript").join("node_modules/.bin/tsc");
    let is_ready = are_there(&[
        ("Node.js", answers("node", &["--version"])),
        ("the npm package typescript", compiler.exists()),
    ]);
    is_ready.then(|| {
        let compiled = tools_folder().join("contract-typescript");
        let mut compile = Command::new(compiler);
        compile.arg("--outDir").arg(&compiled);
        build(&mut compile, &folder("typescript"));
        let mut command = Command::new("node");
        command.arg(compiled.join("scenario.mjs"));
        Client {
            language: "typescript",
            command,
        }
    })
}

fn go() -> Option<Client> {
    are_there(&[("Go", answers("go", &["version"]))]).then(|| {
        let program = tools_folder().join("contract-go");
        let mut compile = Command::new("go");
        compile
            .args(["build", "-o"])
            .arg(&program)
            // Use only the standard library, in pure Go: no download, no C compiler.
            .env("GOPROXY", "off")
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", tools_folder().join("go-cache"));
        build(&mut compile, &folder("go"));
        Client {
            language: "go",
            command: Command::new(program),
        }
    })
}

fn build(command: &mut Command, folder: &Path) {
    std::fs::create_dir_all(tools_folder()).expect("the build's folder is writable");
    let built = command.current_dir(folder).output();
    let built = built.expect("a compiler that answers starts");
    assert!(
        built.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&built.stdout),
        String::from_utf8_lossy(&built.stderr)
    );
}
