//! Servers that others wrote, each driven by an agent's program through the real component.
//!
//! `tests/mcp` has them; what is not installed is skipped out loud.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tavora_tests::fixture::CANARY;
use tavora_tests::requirement::{answers, are_there, tests_folder, tools_folder};

use crate::fixture::WithAgents;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(60);

/// A running server. It is ended when this goes.
struct Foreign {
    child: Child,
    url: String,
}

impl Foreign {
    /// Starts `command` on a free port, which it takes from `PORT`.
    fn start(mut command: Command) -> Self {
        let started = Instant::now();
        loop {
            // Another process may take the port in between; then the server ends, and takes another.
            let port = {
                let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
                listener.local_addr().expect("it is bound").port()
            };
            let mut child = command
                .env("PORT", port.to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("a program that is there starts");
            while child.try_wait().expect("it is a child").is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    let url = format!("http://127.0.0.1:{port}");
                    return Self { child, url };
                }
                std::thread::sleep(Duration::from_millis(50));
                assert!(started.elapsed() < START, "{command:?} does not listen");
            }
            assert!(started.elapsed() < START, "{command:?} ends at once");
        }
    }

    /// A platform with an agent whose one server is this one, called `it`.
    async fn agent(&self, path: &str, besides: &str) -> WithAgents {
        let url = &self.url;
        let declared = format!("{{ \"name\": \"it\", \"url\": \"{url}{path}\"{besides} }}");
        WithAgents::start(&declared, &[url]).await
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of Node.js, when it is installed.
fn node(script: &str, arguments: &[&str]) -> Option<Command> {
    let folder = tests_folder().join("mcp/node");
    let is_ready = are_there(&[
        ("Node.js", answers("node", &["--version"])),
        (
            "the npm package @modelcontextprotocol/server-everything",
            folder
                .join("node_modules/@modelcontextprotocol/server-everything")
                .exists(),
        ),
    ]);
    is_ready.then(|| {
        let mut command = Command::new("node");
        command.arg(folder.join(script)).args(arguments);
        command
    })
}

/// The server of Python's library, when that is installed.
fn python(way: &str) -> Option<Command> {
    let program: PathBuf = tools_folder().join("mcp/bin/python");
    are_there(&[("the Python package mcp", program.exists())]).then(|| {
        let mut command = Command::new(program);
        command
            .arg(tests_folder().join("mcp/python/server.py"))
            .arg(way);
        command
    })
}

const EVERYTHING: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";

/// What the server that exercises the whole protocol gives, over either transport.
async fn everything(agent: &WithAgents) {
    let result = agent
        .result(
            "const it = require('it');
             const image = it['get-tiny-image']();
             return [
               it.echo({message: 'é\\n\"'}),
               it['get-sum']({a: 2, b: 3}),
               Object.keys(it['get-structured-content']({location: 'Chicago'})).sort(),
               image.map(part => part.type),
               it['trigger-long-running-operation']({duration: 1, steps: 2}),
               'trigger-sampling-request' in it,
             ]",
        )
        .await;
    assert_eq!(
        result,
        r#"["Echo: é\n\"","The sum of 2 and 3 is 5.",["conditions","humidity","temperature"],["text","image","text"],"Long running operation completed. Duration: 1 seconds, Steps: 2.",false]"#
    );
    let said = agent.tool_error("require('it')['get-sum']({a: 'x'})").await;
    assert_eq!(said.0, "mcp_tool_error");
    assert!(said.1.contains("expected number"), "{said:?}");
    let said = agent
        .tool_error("tools.call('mcp:it', 'call_tool', {name: 'no such'})")
        .await;
    assert!(said.1.contains("no such"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_everything_server_over_streamable_http() {
    let Some(command) = node(EVERYTHING, &["streamableHttp"]) else {
        return;
    };
    let server = Foreign::start(command);
    everything(&server.agent("/mcp", "").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_everything_server_over_sse() {
    let Some(command) = node(EVERYTHING, &["sse"]) else {
        return;
    };
    let server = Foreign::start(command);
    everything(&server.agent("/sse", r#", "transport": "sse""#).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_demands_a_bearer_token() {
    let Some(mut command) = node("bearer.mjs", &[]) else {
        return;
    };
    command.env("TOKEN", CANARY);
    let server = Foreign::start(command);
    let bearer = r#", "auth": { "type": "bearer", "tokenRef": "TOKEN" }"#;
    let agent = server.agent("/mcp", bearer).await;
    let code = "return require('it')['create-task.list']({name: 'Europe trip'})";
    let said = agent.tool_error(code).await;
    assert_eq!(said.1, "secret \"TOKEN\" is not in the app's vault");
    agent.host.put("TOKEN", "another-token-than-it-wants").await;
    assert_eq!(agent.tool_error(code).await.0, "upstream_auth");
    agent.host.put("TOKEN", CANARY).await;
    assert_eq!(agent.result(code).await, r#"{"id":7,"name":"Europe trip"}"#);
    let leaked = agent.result("return require('it').leak()").await;
    assert_eq!(leaked, r#""the token is [redacted:TOKEN]""#);
    let said = agent.tool_error("require('it').fail()").await;
    assert_eq!(said.0, "mcp_tool_error");
    assert!(said.1.contains("there is no room left"), "{said:?}");

    let header = r#", "auth": { "type": "header", "name": "X-Key", "valueRef": "TOKEN" }"#;
    let agent = server.agent("/mcp", header).await;
    agent.host.put("TOKEN", CANARY).await;
    assert_eq!(agent.result(code).await, r#"{"id":7,"name":"Europe trip"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_pythons_library_every_way_it_speaks() {
    for (way, path, besides) in [
        ("stream", "/mcp", ""),
        ("json", "/mcp", ""),
        ("sse", "/sse", r#", "transport": "sse""#),
    ] {
        let Some(command) = python(way) else {
            return;
        };
        let server = Foreign::start(command);
        let agent = server.agent(path, besides).await;
        let result = agent
            .result(
                "const it = require('it');
                 return [Object.keys(it), it.add({a: 2, b: 3}), it.greet({name: 'you'})]",
            )
            .await;
        assert_eq!(
            result, r#"[["add","greet","fail"],{"result":5},{"result":["Hello,","you"]}]"#,
            "{way}"
        );
        let said = agent.tool_error("require('it').fail()").await;
        assert_eq!(said.0, "mcp_tool_error", "{way}");
        let said = agent.tool_error("require('it').add({a: 'two'})").await;
        assert!(said.1.contains("add"), "{way}: {said:?}");
    }
}
