//! The template that tool authors copy, in each of its languages. The commands of docs/tools.md
//! build it, `tavora.toml` lists it, and it is called. The page's commands for the author of
//! built-in tools are not tested here.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};
use tavora_host::platform::AgentRun;
use tavora_host::runtime::inspection::{Fit, InspectionLimits, inspect};
use tavora_tests::binary::{Ended, end, profile_folder};
use tavora_tests::fixture::{CANARY, Fixture};
use tavora_tests::requirement::{are_there, tools_folder};
use tavora_tests::serving::share_component_cache;
use tavora_tests::upstream::{Seen, Upstream, json as json_answer};
use tempfile::TempDir;
use vault_core::AuditQuery;

use super::workspace::root;

const PAGE: &str = "\n## Write a tool in ten minutes";

/// The port of the template's upstream. The copies use another one, because tests run in parallel.
const PORT: &str = "8199";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_authors_works_word_by_word() {
    let author = Author::new();
    author.copy();
    author.run("cargo xtask tool");
    let inspected = author.run("tool inspect");
    assert_eq!(
        inspected.status, 3,
        "a trusted tool must be reported as such: {inspected:?}"
    );
    share_component_cache(&author.folder().join(".tavora"));
    let tried = author.run("python3 upstream.py");
    let (stdout, stderr) = (tried.stdout.as_str(), tried.stderr.as_str());
    for (said, text) in [
        (
            stderr,
            "secret \"weather_api_key\" is not in the app's vault",
        ),
        (stdout, "\n{\"temperature_c\":21.0,\"sky\":\"clear\"}\n"),
        (stdout, "\"sky\":\"you sent [redacted:weather_api_key]\"}\n"),
        (stdout, "\n\"clear\"\n"),
    ] {
        assert!(said.contains(text), "{text} is not in {tried:?}");
    }
    assert!(!stdout.contains("sent only-for-trying"), "{stdout}");
    keeps_the_contract(&author.folder().join("rust/weather.wasm"), "egress_denied").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_in_javascript_keeps_the_contract() {
    let packages = tools_folder().join("componentize-js/node_modules");
    let is_there = packages.join(".bin/componentize-js").exists();
    if !are_there(&[("the npm package componentize-js", is_there)]) {
        return;
    }
    let author = Author::new();
    author.copy();
    let folder = author.folder().join("javascript");
    symlink(packages, folder.join("node_modules")).expect("the folder is new");
    author.run("npm run build");
    // `fetch` does not tell why a request failed.
    keeps_the_contract(&folder.join("weather.wasm"), "upstream_unreachable").await;
}

// The agent contains its engine: thousands of functions, some of them large. Whether it is accepted
// depends on the limits of the compile worker, not on an estimate.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_javascript_without_wasi_runs() {
    let packages = tools_folder().join("componentize-js/node_modules");
    let is_there = packages.join(".bin/componentize-js").exists();
    if !are_there(&[("the npm package componentize-js", is_there)]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    symlink(packages, folder.path().join("node_modules")).expect("the folder is new");
    let program = "import { list, log } from 'tavora:platform/tools@0.1.0';\n\
                   export const agent = {\n\
                     run(input) {\n\
                       log('from javascript');\n\
                       const tools = list().map(tool => tool.name);\n\
                       return JSON.stringify({ code: input.code, tools });\n\
                     }\n\
                   };\n";
    std::fs::write(folder.path().join("agent.js"), program).expect("writable");
    let mut command = Command::new("node_modules/.bin/componentize-js");
    command
        .args(["agent.js", "--world-name", "agent-sandbox", "--wit"])
        .arg(root().join("wit"))
        .args([
            "--disable",
            "stdio",
            "random",
            "clocks",
            "http",
            "fetch-event",
        ])
        .args(["--out", "agent.wasm"])
        .current_dir(folder.path());
    let built = end(command);
    assert_eq!(built.status, 0, "{built:?}");

    let host = Fixture::without_secret("").await;
    let bytes = std::fs::read(folder.path().join("agent.wasm")).expect("it was built");
    let agent = host.platform.load_agent(bytes).await;
    let agent = agent.unwrap_or_else(|error| panic!("{error}"));
    let run = AgentRun::new(host.app.id, "the program");
    let outcome = host.platform.run_in(&agent, run).await.outcome;
    let json: Value = serde_json::from_str(outcome.expect("a result").get()).expect("JSON");
    assert_eq!(json["code"], "the program");
    let tools: Vec<String> = host.platform.tools().map(|tool| tool.name).collect();
    assert_eq!(json["tools"], json!(tools));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_in_python_keeps_the_contract() {
    let python = tools_folder().join("componentize-py");
    let is_there = python.join("bin/componentize-py").exists();
    if !are_there(&[("the Python package componentize-py", is_there)]) {
        return;
    }
    let author = Author::new();
    author.copy();
    let folder = author.folder().join("python");
    symlink(python, folder.join(".venv")).expect("the folder is new");
    author.run("componentize-py --wit-path");
    keeps_the_contract(&folder.join("weather.wasm"), "egress_denied").await;
}

/// Somebody who follows the page, in a home of their own.
struct Author {
    home: TempDir,
    /// The page's blocks of commands.
    blocks: Vec<String>,
}

impl Author {
    fn new() -> Self {
        let tools = std::fs::read_to_string(root().join("docs/tools.md")).expect("UTF-8");
        let (_, page) = tools.split_once(PAGE).expect("it has the page");
        let page = page.split("\n#").next().expect("a split has a first part");
        let blocks = page.split("```sh\n").skip(1);
        let blocks =
            blocks.map(|block| block.split("```").next().expect("a first part").to_owned());
        Self {
            home: tempfile::tempdir().expect("a temporary folder"),
            blocks: blocks.collect(),
        }
    }

    /// The folder in which the page lets the author work.
    fn folder(&self) -> PathBuf {
        self.home.path().join("weather")
    }

    fn copy(&self) {
        let copied = self.run("cp -RL");
        assert_eq!(copied.status, 0, "{copied:?}");
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
            listener.local_addr().expect("it is bound").port()
        };
        for file in ["tavora.toml", "upstream.py"] {
            let file = self.folder().join(file);
            let text = std::fs::read_to_string(&file).expect("UTF-8");
            assert!(text.contains(PORT), "{}", file.display());
            std::fs::write(&file, text.replace(PORT, &port.to_string())).expect("writable");
        }
    }

    /// Runs the block that contains these words, without what `cargo xtask test-tools` has already
    /// done.
    fn run(&self, words: &str) -> Ended {
        let mut found = self.blocks.iter().filter(|block| block.contains(words));
        let (Some(block), None) = (found.next(), found.next()) else {
            panic!("one block of the page has {words:?}, and no other");
        };
        let installs = |line: &&str| line.starts_with("npm ci ") || line.contains(" -m venv ");
        let lines: Vec<&str> = block.lines().filter(|line| !installs(line)).collect();
        let mut folder = root();
        if !lines[0].starts_with("cd ") && self.folder().exists() && !words.contains("xtask") {
            folder = self.folder();
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let home = |name: &str, folder: &str| {
            std::env::var(name).unwrap_or_else(|_| {
                let home = std::env::var("HOME").expect("a user has a home");
                Path::new(&home).join(folder).display().to_string()
            })
        };
        let mut command = Command::new("bash");
        command
            .args(["-c", &lines.join("\n")])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", profile_folder().display()))
            .env("CARGO_HOME", home("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"))
            .env(
                "CARGO_TARGET_DIR",
                profile_folder().parent().expect("in another"),
            )
            .env("HOME", self.home.path())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        end(command)
    }
}

/// Checks what a tool of the template does in every language. `denied` is its error code when the
/// host refuses its request.
async fn keeps_the_contract(component: &Path, denied: &str) {
    let bytes = std::fs::read(component).expect("the block builds the component");
    let inspection = inspect(&bytes, &InspectionLimits::default());
    let inspection = inspection.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        matches!(inspection.class, Fit::NeedsTrust { .. }),
        "{:?}",
        inspection.class
    );

    let upstream = Upstream::start(answer).await;
    let config = |bound_to: &str| {
        format!(
            "[egress]\nallow_private_origins = [{0:?}]\n[tools.weather]\ncomponent = {component:?}\n\
             secrets = [\"weather_api_key\"]\nbind = {{ weather_api_key = [{bound_to:?}] }}\n\
             config = {{ base_url = {0:?} }}\n",
            upstream.url()
        )
    };
    let host = Fixture::without_secret(&config(upstream.url())).await;
    let mut tools = host.platform.tools();
    let weather = tools.find(|tool| tool.name == "weather").expect("listed");
    let [today] = weather.operations.as_slice() else {
        panic!("one operation, not {:?}", weather.operations);
    };
    assert_eq!(today.name, "today");
    let schema: Value = serde_json::from_str(today.input_schema.get()).expect("it is JSON");
    assert_eq!(schema["required"], json!(["city"]));

    // Without the secret, or with input that the schema does not allow, the upstream is not asked.
    let (code, message) = host.tool_error(&asking("{city: 'Lima'}")).await;
    assert_eq!(code, "secret_not_found");
    assert_eq!(
        message,
        "secret \"weather_api_key\" is not in the app's vault"
    );
    host.put("weather_api_key", CANARY).await;
    for wrong in [
        "{}",
        "{city: ''}",
        "{city: 'x'.repeat(101)}",
        "{city: 7}",
        "{city: null}",
        "{city: ['Lima']}",
        "{city: 'Lima', base_url: 'http://attacker.test'}",
    ] {
        let (code, _) = host.tool_error(&asking(wrong)).await;
        assert_eq!(code, "invalid_input", "{wrong}");
    }
    assert!(upstream.seen().is_empty());

    let lima = host.result(&asking("{city: 'Lima & Süd?'}")).await;
    assert_eq!(lima, r#"{"temperature_c":21.5,"sky":"clear"}"#);
    let seen = upstream.seen().pop().expect("it was asked");
    assert_eq!(seen.uri.path(), "/today");
    let query = seen.uri.query().expect("a query").replace('+', "%20");
    assert_eq!(query, "city=Lima%20%26%20S%C3%BCd%3F");
    assert_eq!(seen.headers["authorization"], format!("Bearer {CANARY}"));

    let echoed = host.result(&asking("{city: 'Echo'}")).await;
    assert!(
        echoed.contains("you sent Bearer [redacted:weather_api_key]"),
        "{echoed}"
    );
    for (city, expected) in [
        ("Refused", "upstream_auth"),
        ("Broken", "upstream_error"),
        ("Moved", "upstream_error"),
        ("Page", "upstream_error"),
        ("Other", "upstream_error"),
    ] {
        let (code, message) = host
            .tool_error(&asking(&format!("{{city: '{city}'}}")))
            .await;
        assert_eq!(code, expected, "{city}: {message}");
        assert!(!message.contains("Bearer"), "{message}");
    }
    let unknown = host
        .tool_error("return tools.call('weather', 'tomorrow', {})")
        .await;
    assert_eq!(unknown.0, "unknown_operation");

    let asked = upstream.seen().len();
    let elsewhere = Fixture::without_secret(&config("https://elsewhere.example")).await;
    elsewhere.put("weather_api_key", CANARY).await;
    let (code, _) = elsewhere.tool_error(&asking("{city: 'Lima'}")).await;
    assert_eq!(code, denied);
    assert_eq!(upstream.seen().len(), asked);
    let query = AuditQuery {
        action: Some("egress.denied".to_owned()),
        ..AuditQuery::default()
    };
    let page = elsewhere
        .vaults()
        .audit_entries(query)
        .await
        .expect("readable");
    assert_eq!(page.entries.len(), 1);
}

fn asking(input: &str) -> String {
    format!("return tools.call('weather', 'today', {input})")
}

/// The weather service. Some cities are special.
fn answer(seen: &Seen) -> Response<Body> {
    let key = seen.headers.get("authorization");
    let key = key.map_or("nothing", |key| key.to_str().expect("ASCII"));
    match seen
        .uri
        .query()
        .and_then(|query| query.strip_prefix("city="))
    {
        Some("Echo") => {
            let sky = format!("you sent {key}");
            json_answer(200, &json!({ "temperature_c": -1, "sky": sky }).to_string())
        }
        Some("Refused") => json_answer(401, &json!({ "refused": key }).to_string()),
        Some("Broken") => json_answer(500, &json!({ "broken": key }).to_string()),
        Some("Page") => json_answer(200, &format!("<html>{key}</html>")),
        Some("Other") => json_answer(200, &json!({ "sky": key }).to_string()),
        Some("Moved") => Response::builder()
            .status(302)
            .header("location", "/today?city=Lima")
            .body(Body::empty())
            .expect("valid"),
        _ => json_answer(200, r#"{"temperature_c": 21.5, "sky": "clear"}"#),
    }
}
