//! `tavora-host serve` as an operator runs it: the real binary on a free port of loopback, with a
//! folder and a KEK of its own.
//!
//! Of all routes, only the operator API's two for making an app and its key are known here.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{self, Ended};
use crate::daemon::Daemon;
use crate::fixture::component_cache;
use crate::wire::{Answer, Request};

/// A running host with a KEK. Dropping it stops the host, and shows its log if the test failed.
pub struct Serving {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The token of the operator API and of the page.
    pub admin_token: String,
    // Declared before the folder, so that the host ends before its folder is removed.
    daemon: Daemon,
    /// The host's working directory: `tavora.toml`, `kek` and the data folder `data`.
    pub folder: TempDir,
    /// When the host's process was started.
    pub started: Instant,
    command: Command,
}

/// An app with an API key.
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

    /// Starts the binary as [`Self::start`] does. `change` adjusts the command, for example its
    /// environment.
    pub fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::start_in(&std::env::temp_dir(), config, change)
    }

    /// Starts the binary with its working directory in `parent`. A temporary folder may be in
    /// memory, where durability costs nothing.
    pub fn start_in(parent: &Path, config: &str, change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir_in(parent).expect("a temporary folder");
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
            .env("TAVORA_SECRET_KEK", format!("file://{}", kek.display()));
        change(&mut command);
        let started = Instant::now();
        let daemon = Daemon::spawn(&mut command);
        let token = path.join("data/admin-token");
        let token = std::fs::read_to_string(&token)
            .unwrap_or_else(|error| panic!("{}: {error}", token.display()));
        Self {
            address: daemon.address,
            admin_token: token.trim().to_owned(),
            daemon,
            folder,
            started,
            command,
        }
    }

    /// Asks the host to end, and waits for its end. The folder stays, and [`Self::start_again`] can
    /// use it.
    pub fn halt(&mut self) {
        let ended = self.daemon.halt();
        assert!(ended.success(), "{ended}\n{}", self.log());
    }

    /// Starts the host again on the same folder, at another address.
    pub fn start_again(&mut self) {
        self.started = Instant::now();
        self.daemon = Daemon::spawn(&mut self.command);
        self.address = self.daemon.address;
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The id of the host's process.
    pub fn process_id(&self) -> u32 {
        self.daemon.process_id()
    }

    /// The whole output of the host so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Runs another command on its data, with its KEK.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = binary::host(self.folder.path());
        command.args(arguments).args(["--data", "data"]);
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        binary::end(command)
    }

    /// Sends a request.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.daemon.send(request)
    }

    /// Sends a request as the operator.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::new(method, path)
            .header("authorization", format!("Bearer {}", self.admin_token));
        self.send(&match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    /// Makes an app of this name with an API key.
    #[track_caller]
    pub fn make_app(&self, name: &str) -> AppWithKey {
        let app = self.admin("POST", "/api/admin/apps", Some(&json!({ "name": name })));
        assert_eq!(app.status, 201, "{}", app.text());
        let id = text(&app.json()["id"]);
        let (key_id, key) = self.make_key(&id, &json!({ "name": "tests" }));
        AppWithKey { id, key_id, key }
    }

    /// Makes an API key of an app from the request's `body`. Returns its id and the key.
    #[track_caller]
    pub fn make_key(&self, app_id: &str, body: &Value) -> (String, String) {
        let path = format!("/api/admin/apps/{app_id}/api-keys");
        let made = self.admin("POST", &path, Some(body));
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        (text(&made["id"]), text(&made["key"]))
    }

    /// Asks the host to end, and waits for its end. Returns the exit status and the whole output.
    pub fn stop(self) -> (ExitStatus, String) {
        self.daemon.stop()
    }
}

/// Makes a data folder that uses the component cache of all tests, so that one start compiles for
/// all.
pub fn share_component_cache(data: &Path) {
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
