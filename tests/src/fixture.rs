//! A platform on a database of its own, with an app, a designated vault and, usually, the search
//! tool's secret.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform, RunError, RunReport};
use tavora_host::runtime::worker::WorkerConfig;
use tempfile::TempDir;
use vault_core::{
    App, Caller, Keyring, LocalKek, Metadata, SecretValue, SecretVaults, SqliteOptions,
    SqliteStore, VaultView,
};

use crate::binary::{built, profile_folder};

/// The credential that tests plant and then search for.
pub const CANARY: &str = "canary-7f3d1c9ab2e84655";

/// The secret that the search tool resolves.
pub const SEARCH_SECRET: &str = "brave_api_key";

/// A running platform. Dropping it removes its folder.
pub struct Fixture {
    /// The platform under test.
    pub platform: Platform,
    /// The platform's app.
    pub app: App,
    /// The app's vault.
    pub vault: VaultView,
    /// The folder of the database.
    pub folder: TempDir,
}

/// The caller of everything that a test does itself.
pub fn operator() -> Caller {
    Caller::operator()
}

/// The tests' cache of compiled components. It lies beside the test binaries, so that each
/// component is compiled once.
pub fn component_cache() -> PathBuf {
    let cache = profile_folder().join("component-cache");
    std::fs::create_dir_all(&cache).expect("the build's folder is writable");
    cache
}

/// The worker of a platform in a test. It is the real binary, because a test binary cannot be
/// started as a worker.
pub fn worker() -> WorkerConfig {
    WorkerConfig {
        program: Some(built("tavora-host")),
    }
}

impl Fixture {
    /// A platform whose search tool asks `url`, with [`CANARY`] as its credential.
    pub async fn searching(url: &str) -> Self {
        Self::start(&format!(
            "[egress]\nallow_private_origins = [{url:?}]\n[tools.brave-search.config]\nbase_url = {url:?}\n"
        ))
        .await
    }

    /// A platform configured by the text of a `tavora.toml`, with [`CANARY`] as the search tool's
    /// credential.
    pub async fn start(config: &str) -> Self {
        let fixture = Self::without_secret(config).await;
        fixture.put(SEARCH_SECRET, CANARY).await;
        fixture
    }

    /// A platform configured by the text of a `tavora.toml`, with an empty designated vault.
    pub async fn without_secret(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = SqliteStore::open(folder.path().join("tavora.db"), SqliteOptions::default())
            .expect("a new database opens");
        let keyring = Keyring::local(&LocalKek::make_text(), None).expect("a new KEK is valid");
        let vaults = SecretVaults::open(Arc::new(store), Some(keyring))
            .await
            .expect("a new database has no other KEK");
        let app = vaults
            .create_app(&operator(), "app".parse().expect("valid"), None, None)
            .await
            .expect("the first app");
        let vault = vaults
            .create_vault(
                &operator(),
                app.id,
                "main".parse().expect("valid"),
                Metadata::default(),
            )
            .await
            .expect("the first vault");
        vaults
            .designate(&operator(), app.id, Some(vault.id))
            .await
            .expect("the app's own vault");
        let mut config = Config::parse(config).expect("the test's configuration is valid");
        config.worker = worker();
        let platform = Platform::start(vaults, &config, Some(&component_cache()))
            .await
            .expect("the built-in tools load");
        Self {
            platform,
            app,
            vault,
            folder,
        }
    }

    /// The vaults of the platform.
    pub fn vaults(&self) -> &SecretVaults {
        self.platform.vaults()
    }

    /// Stores a secret in the app's vault.
    pub async fn put(&self, name: &str, value: &str) {
        let name = name.parse().expect("valid");
        let value = SecretValue::new(value.to_owned()).expect("valid");
        self.vaults()
            .put_secret(&operator(), self.app.id, self.vault.id, &name, &value)
            .await
            .expect("the vault works");
    }

    /// Runs an agent's program. Returns the report and the log.
    pub async fn run(&self, code: &str) -> (RunReport, String) {
        let logged = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&logged);
        let mut run = AgentRun::new(self.app.id, code);
        run.log = Box::new(move |line| {
            let mut logged = sink.lock().expect("no holder panics");
            logged.push_str(line);
            logged.push('\n');
        });
        let report = self.platform.run(run).await;
        let logged = logged.lock().expect("no holder panics").clone();
        (report, logged)
    }

    /// Runs a program that must have a result. Returns the result as JSON.
    pub async fn result(&self, code: &str) -> String {
        let (report, _) = self.run(code).await;
        match report.outcome {
            Ok(json) => json.get().to_owned(),
            Err(error) => panic!("{code}: {error}"),
        }
    }

    /// Runs a program that must throw a `ToolError`. Returns its code and message.
    pub async fn tool_error(&self, code: &str) -> (String, String) {
        let (report, _) = self.run(code).await;
        match report.outcome {
            Err(RunError::Threw {
                name,
                code: Some(code),
                message,
                ..
            }) if name == "ToolError" => (code, message),
            other => panic!("{code}: {other:?}"),
        }
    }
}
