//! OpenAI's official clients for JavaScript and for Python. Unmodified, they work with `base_url`
//! and an app's key.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tavora_tests::requirement::{answers, are_there, tests_folder, tools_folder};
use tavora_tests::upstream::{Seen, json as json_answer};

use super::fixture::{Chat, DONE, completion, event, events};

/// Each client must make at least this many checks.
const CHECKS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_work_unmodified() {
    let clients: Vec<_> = [javascript(), python()].into_iter().flatten().collect();
    let chat = Chat::configured("", "openai_models = \"gpt-4o, gpt-4o-mini\"", provider).await;
    let running: Vec<_> = clients
        .into_iter()
        .map(|(language, mut command)| {
            command
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("CHAT_URL", format!("{}/v1", chat.serving.url()))
                .env("CHAT_API_KEY", &chat.app.key);
            let client = std::thread::spawn(move || command.output().expect("the client starts"));
            (language, client)
        })
        .collect();
    let clients = running.len();
    let checks: Vec<_> = running
        .into_iter()
        .map(|(language, client)| {
            let output = client.join().expect("it does not panic");
            (language, checks_of(language, &output))
        })
        .collect();
    for pair in checks.windows(2) {
        assert_eq!(
            pair[0].1, pair[1].1,
            "{} and {} differ in their checks",
            pair[0].0, pair[1].0
        );
    }
    // The clients have retries of their own. Each got one refusal of its credential, so nothing was
    // retried.
    let refused = chat
        .upstream
        .seen()
        .iter()
        .filter(|seen| asked(seen) == "refused")
        .count();
    assert_eq!(refused, clients);
}

/// Plays OpenAI.
fn provider(seen: &Seen) -> Response<Body> {
    let endless =
        stream::repeat_with(|| Ok::<_, std::io::Error>(event("more"))).then(async |event| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            event
        });
    match asked(seen).as_str() {
        "plain" => json_answer(200, &completion("Hello there").to_string()),
        "streamed" => {
            let all = [
                event("Hello"),
                event(" there"),
                event(" \u{1f642}"),
                DONE.to_owned(),
            ];
            events(Body::from(all.concat()))
        }
        "endless" => events(Body::from_stream(endless)),
        "broken" => {
            let broken = stream::once(async {
                // The first event must arrive before the connection breaks.
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                Err(std::io::Error::other("broken on purpose"))
            });
            events(Body::from_stream(
                stream::iter([Ok(event("Hello"))]).chain(broken),
            ))
        }
        "tools" => {
            let mut answer = completion("");
            answer["choices"][0]["finish_reason"] = json!("tool_calls");
            answer["choices"][0]["message"] = json!({ "role": "assistant", "content": null, "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } },
            ] });
            json_answer(200, &answer.to_string())
        }
        "refused" => json_answer(
            401,
            r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
        ),
        "limited" => {
            let mut answer = json_answer(
                429,
                r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            );
            let header = "90".parse().expect("a value");
            answer.headers_mut().insert("retry-after", header);
            answer
        }
        other => panic!("these clients do not send {other:?}"),
    }
}

fn asked(seen: &Seen) -> String {
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    body["messages"][0]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn checks_of(language: &str, output: &Output) -> Vec<String> {
    let printed = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let shown = format!("{language}, {}:\n{printed}{complained}", output.status);
    assert!(output.status.success(), "{shown}");
    let checks = printed.lines().filter_map(|line| line.strip_prefix("ok "));
    let checks: Vec<_> = checks.map(str::to_owned).collect();
    assert!(checks.len() >= CHECKS, "only {} of {shown}", checks.len());
    checks
}

fn folder() -> PathBuf {
    tests_folder().join("clients/openai")
}

fn javascript() -> Option<(&'static str, Command)> {
    let package = folder().join("node_modules/openai");
    let is_ready = are_there(&[
        ("Node.js", answers("node", &["--version"])),
        ("the npm package openai", package.exists()),
    ]);
    is_ready.then(|| {
        let mut command = Command::new("node");
        command.arg(folder().join("chat.mjs"));
        ("JavaScript", command)
    })
}

fn python() -> Option<(&'static str, Command)> {
    let python = tools_folder().join("openai/bin/python");
    let is_ready = are_there(&[(
        "the Python package openai",
        answers(&python, &["-c", "import openai"]),
    )]);
    is_ready.then(|| {
        let mut command = Command::new(python);
        // -B keeps Python from writing compiled files beside the sources.
        command.arg("-B").arg(folder().join("chat.py"));
        ("Python", command)
    })
}
