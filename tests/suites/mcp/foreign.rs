//! Starting foreign servers, as processes of their own on loopback.

use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tavora_tests::requirement::{answers, are_there, tests_folder, tools_folder};

/// Time limit until a server listens, on a busy machine.
const START: Duration = Duration::from_secs(180);

/// A way to run a server. `{PORT}` in its arguments stands for the port.
#[derive(Clone)]
pub(crate) struct Way {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    path: String,
}

/// A running server. Dropping it ends the server.
pub(crate) struct Foreign {
    child: Child,
    shown: String,
    pub(crate) origin: String,
    pub(crate) url: String,
    pub(crate) is_sse: bool,
}

/// A server from an npm package, if that is installed.
pub(crate) fn npm(script: &str, arguments: &[&str], path: &str) -> Option<Way> {
    node(&format!("node_modules/{script}"), arguments, path)
}

/// A server that Node.js runs.
pub(crate) fn node(script: &str, arguments: &[&str], path: &str) -> Option<Way> {
    let folder = tests_folder().join("mcp/node");
    let script = folder.join(script);
    let is_ready = are_there(&[
        ("Node.js", answers("node", &["--version"])),
        (
            "the npm packages of tests/mcp/node",
            script.exists() && folder.join("node_modules/@playwright/mcp").exists(),
        ),
    ]);
    let script = script.to_str().expect("plain").to_owned();
    is_ready.then(|| {
        Way::new(
            "node".into(),
            [vec![script], owned(arguments)].concat(),
            path,
        )
    })
}

/// The server of numbers in one of the Python environments.
pub(crate) fn python(environment: &str, arguments: &[&str], path: &str) -> Option<Way> {
    let program = tools_folder().join(environment).join("bin/python");
    let script = tests_folder().join("mcp/python/server.py");
    let script = script.to_str().expect("plain").to_owned();
    are_there(&[("the Python packages of tests/mcp/python", program.exists())])
        .then(|| Way::new(program, [vec![script], owned(arguments)].concat(), path))
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&it| it.to_owned()).collect()
}

impl Way {
    fn new(program: PathBuf, arguments: Vec<String>, path: &str) -> Self {
        Self {
            program,
            arguments,
            variables: Vec::new(),
            path: path.to_owned(),
        }
    }

    /// Adds a variable to its environment.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A server on standard streams, behind npm's proxies with each of their transports.
    pub(crate) fn behind_npms_proxies(&self) -> Vec<Self> {
        let modules = tests_folder().join("mcp/node/node_modules");
        let script = |path: &str| modules.join(path).to_str().expect("plain").to_owned();
        let words = std::iter::once(self.program.display().to_string());
        let words: Vec<String> = words.chain(self.arguments.iter().cloned()).collect();
        let behind = |program: &str, arguments: &[&str], command: &[String], path: &str| Self {
            program: "node".into(),
            arguments: [vec![script(program)], owned(arguments), command.to_vec()].concat(),
            path: path.to_owned(),
            ..self.clone()
        };
        let (gateway, proxy) = (
            "supergateway/dist/index.js",
            "mcp-proxy/dist/bin/mcp-proxy.mjs",
        );
        let stdio = ["--stdio".to_owned(), words.join(" ")];
        let stream = ["--port", "{PORT}", "--outputTransport", "streamableHttp"];
        let own = [vec!["--".to_owned()], words].concat();
        vec![
            behind(gateway, &stream, &stdio, "/mcp"),
            behind(
                gateway,
                &[&stream[..], &["--stateful"]].concat(),
                &stdio,
                "/mcp",
            ),
            behind(
                gateway,
                &["--port", "{PORT}", "--outputTransport", "sse"],
                &stdio,
                "/sse",
            ),
            behind(proxy, &["--port", "{PORT}"], &own, "/mcp"),
            behind(proxy, &["--port", "{PORT}", "--stateless"], &own, "/mcp"),
            behind(proxy, &["--port", "{PORT}"], &own, "/sse"),
        ]
    }

    /// Starts the same server behind the proxy of Python's packages.
    pub(crate) fn behind_pythons_proxy(&self, path: &str, option: Option<&str>) -> Self {
        let words = std::iter::once(self.program.display().to_string());
        let options = ["--port", "{PORT}", "--pass-environment"]
            .into_iter()
            .chain(option)
            .chain(["--"]);
        let options = options.map(str::to_owned);
        Self {
            program: self.program.with_file_name("mcp-proxy"),
            arguments: options
                .chain(words)
                .chain(self.arguments.iter().cloned())
                .collect(),
            path: path.to_owned(),
            ..self.clone()
        }
    }

    fn start(&self) -> Foreign {
        let started = Instant::now();
        loop {
            // Another process may take the port in between. Then the server ends, and another port
            // is tried.
            let port = {
                let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
                listener.local_addr().expect("it is bound").port()
            };
            let arguments = self.arguments.iter();
            let arguments = arguments.map(|it| it.replace("{PORT}", &port.to_string()));
            let mut child = Command::new(&self.program)
                .args(arguments)
                .envs(self.variables.iter().cloned())
                .env("PORT", port.to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("a program that is there starts");
            while child.try_wait().expect("it is a child").is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    let origin = format!("http://127.0.0.1:{port}");
                    return Foreign {
                        child,
                        shown: format!("{} {}", self.program.display(), self.arguments.join(" ")),
                        url: format!("{origin}{}", self.path),
                        origin,
                        is_sse: self.path == "/sse",
                    };
                }
                std::thread::sleep(Duration::from_millis(50));
                assert!(
                    started.elapsed() < START,
                    "{} does not listen",
                    self.arguments.join(" ")
                );
            }
            assert!(
                started.elapsed() < START,
                "{} ends at once",
                self.arguments.join(" ")
            );
        }
    }
}

/// Starts servers in parallel.
pub(crate) fn start_all(ways: Vec<Way>) -> Vec<Foreign> {
    let starting: Vec<_> = ways
        .into_iter()
        .map(|way| std::thread::spawn(move || way.start()))
        .collect();
    let started = starting.into_iter().map(|it| it.join());
    started.map(|it| it.expect("it starts")).collect()
}

/// The body that a Node.js server returns for a path.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    // The body has one chunk.
    body.lines().nth(1).unwrap_or(body).to_owned()
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.shown, self.url)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
