//! `tavora-host serve` as an operator runs it: the real binary on a free port of loopback, with a folder and a KEK of
//! its own.
//!
//! Nothing here knows what a route should answer, but for the operator API's two that make an app and its key.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary;
use crate::fixture::component_cache;
use crate::wire::{Answer, Request};

/// What the binary prints before the URL that it listens on.
const LISTENING: &str = "listening on http://";

/// How long the binary may take to listen: the first start compiles the components.
const START: Duration = Duration::from_secs(180);

/// How long it may take to end.
const END: Duration = Duration::from_secs(30);

/// How much of its log is shown when a test failed, in lines.
const SHOWN_LINES: usize = 50;

/// A running host. It is stopped when this goes; what it logged is shown if the test failed.
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    /// The token of the operator API and of the page.
    pub admin_token: String,
    /// Its working directory: `tavora.toml`, `kek` and the data folder `data`.
    pub folder: TempDir,
    child: Child,
    log: Arc<Log>,
}

/// An app and an API key of it.
#[derive(Clone)]
pub struct AppWithKey {
    /// The app's id.
    pub id: String,
    /// The API key's id.
    pub key_id: String,
    /// The API key.
    pub key: String,
}

impl Serving {
    /// Starts the binary, configured by the text of a `tavora.toml`.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, |_| ())
    }

    /// The same, after `change` has had its way with the command (its environment, say).
    pub fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        std::fs::write(path.join("tavora.toml"), config).expect("the folder is writable");
        share_component_cache(&path.join("data"));
        let kek = path.join("kek");
        let made = binary::run(path, &["kek", "generate", "--out", "kek"]);
        assert_eq!(made.status, 0, "{made:?}");

        let mut command = binary::host(path);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data"])
            .args(["--config", "tavora.toml"])
            .env("TAVORA_SECRET_KEK", format!("file://{}", kek.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("the binary starts");
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().expect("it is piped"));
        log.follow(child.stderr.take().expect("it is piped"));
        let mut serving = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_token: String::new(),
            folder,
            child,
            log,
        };
        serving.address = serving.log.listening_address();
        let token = serving.data().join("admin-token");
        let token = std::fs::read_to_string(&token)
            .unwrap_or_else(|error| panic!("{}: {error}", token.display()));
        serving.admin_token = token.trim().to_owned();
        serving
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it printed and logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Sends a request.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        request
            .send(self.address)
            .unwrap_or_else(|error| panic!("{error}: {request:?}"))
    }

    /// Sends a request of the operator.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::new(method, path)
            .header("authorization", format!("Bearer {}", self.admin_token));
        self.send(&match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    /// Makes an app of this name and an API key of it.
    #[track_caller]
    pub fn make_app(&self, name: &str) -> AppWithKey {
        let app = self.admin("POST", "/api/admin/apps", Some(&json!({ "name": name })));
        assert_eq!(app.status, 201, "{}", app.text());
        let id = text(&app.json()["id"]);
        let (key_id, key) = self.make_key(&id, &json!({ "name": "tests" }));
        AppWithKey { id, key_id, key }
    }

    /// Makes an API key of an app as `body` asks for it; its id and the key.
    #[track_caller]
    pub fn make_key(&self, app_id: &str, body: &Value) -> (String, String) {
        let path = format!("/api/admin/apps/{app_id}/api-keys");
        let made = self.admin("POST", &path, Some(body));
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        (text(&made["id"]), text(&made["key"]))
    }

    /// Asks it to end, and waits for that; how it ended, and everything that it printed and logged.
    pub fn stop(mut self) -> (ExitStatus, String) {
        let status = self.end().expect("it ends in time");
        (status, self.log())
    }

    /// `None` when it had to be killed.
    fn end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let id = i32::try_from(self.child.id()).expect("process ids are small");
        // It may have ended by itself in between.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        let started = Instant::now();
        while started.elapsed() < END {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let ended = self.end();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!(
                "--- tavora-host, {ended:?}\n{}\n---",
                lines[last..].join("\n")
            );
        } else {
            assert!(ended.is_some(), "the host did not end on SIGTERM");
        }
    }
}

/// Gives a data folder the component cache of all tests, so that one start compiles for all.
fn share_component_cache(data: &std::path::Path) {
    let private = std::fs::Permissions::from_mode(0o700);
    let cache = component_cache();
    std::fs::set_permissions(&cache, private.clone()).expect("the cache is this user's");
    std::fs::create_dir(data).expect("the folder is new");
    std::fs::set_permissions(data, private).expect("the folder is this user's");
    std::os::unix::fs::symlink(cache, data.join("cache")).expect("the folder is new");
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The lines that a process printed.
#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    grew: Condvar,
}

#[derive(Default)]
struct Lines {
    text: String,
    /// Streams that were followed to their end.
    ended: usize,
}

impl Log {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
                log.change(|lines| lines.text.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
            log.change(|lines| lines.ended += 1);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        self.grew.notify_all();
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.text.clone()
    }

    /// Waits for the line that says where the host listens.
    fn listening_address(&self) -> SocketAddr {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let is_waiting =
            |lines: &mut Lines| listening_address(&lines.text).is_none() && lines.ended < 2;
        let (lines, _) = self
            .grew
            .wait_timeout_while(lines, START, is_waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let found = listening_address(&lines.text);
        // The log is shown when the caller's `Serving` goes, which needs the lock.
        drop(lines);
        found.expect("the host says where it listens")
    }
}

fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(LISTENING)?;
    // A line that is still being written is not there yet: lines are added whole.
    rest.split([' ', '/', '\n']).next()?.parse().ok()
}
