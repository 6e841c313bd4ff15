//! A data folder and its KEKs, used through the binary's commands. It asserts only that they work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::Value;
use tavora_tests::binary::{Ended, end, host, run};
use tavora_tests::daemon::Daemon;
use tavora_tests::serving::share_component_cache;
use tempfile::TempDir;
use vault_core::{
    AppId, Keyring, ReleaseContext, ReleaseError, SecretVaults, SqliteOptions, SqliteStore,
};

/// A folder with `data`, and beside it the KEKs `old` and `new`. Commands use `old` unless told
/// otherwise.
pub struct Folder {
    folder: TempDir,
}

/// The KEKs of a command: the primary, and the previous ones.
pub type Keks<'a> = (&'a str, &'a str);

pub const OLD: Keks = ("old", "");
pub const NEW: Keks = ("new", "");
pub const BOTH: Keks = ("new", "old");

impl Folder {
    /// A folder with the KEKs, and with nothing in `data`.
    pub fn empty() -> Self {
        Self::empty_in(&std::env::temp_dir())
    }

    fn empty_in(parent: &Path) -> Self {
        let folder = tempfile::tempdir_in(parent).expect("a temporary folder");
        for kek in ["old", "new"] {
            let made = run(folder.path(), &["kek", "generate", "--out", kek]);
            assert_eq!(made.status, 0, "{made:?}");
        }
        share_component_cache(&folder.path().join("data"));
        Self { folder }
    }

    /// A folder with an app and its designated vault.
    pub fn with_vault() -> Self {
        Self::with_vault_in(&std::env::temp_dir())
    }

    /// A folder with an app and its designated vault, on the disk of `parent`.
    pub fn with_vault_in(parent: &Path) -> Self {
        let folder = Self::empty_in(parent);
        folder.ok(OLD, &["app", "create", "Shop"]);
        folder.ok(OLD, &["vault", "create", "main"]);
        folder.ok(OLD, &["vault", "designate", "main"]);
        folder
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("data/tavora.db")
    }

    /// The names of the files in `data`, sorted. SQLite's companions are left out, because they
    /// come and go.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join("data")).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("readable").file_name())
            .map(|name| name.into_string().expect("UTF-8"))
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        names.sort();
        names
    }

    /// A command on `data` with these KEKs.
    pub fn command(&self, (primary, previous): Keks, arguments: &[&str]) -> Command {
        let url = |kek: &str| format!("file://{}", self.path().join(kek).display());
        let mut command = host(self.path());
        command
            .args(arguments)
            .args(["--data", "data"])
            .env("TAVORA_SECRET_KEK", url(primary));
        if !previous.is_empty() {
            command.env("TAVORA_SECRET_KEK_PREVIOUS", url(previous));
        }
        command
    }

    pub fn run(&self, keks: Keks, arguments: &[&str]) -> Ended {
        end(self.command(keks, arguments))
    }

    /// Runs a command that must succeed, and returns its standard output.
    #[track_caller]
    pub fn ok(&self, keks: Keks, arguments: &[&str]) -> String {
        let ended = self.run(keks, arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Runs a command with `--json` that must succeed, and returns its output.
    #[track_caller]
    pub fn json(&self, keks: Keks, arguments: &[&str]) -> Value {
        let text = self.ok(keks, &[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Starts a host on this folder.
    pub fn serve(&self, keks: Keks) -> Daemon {
        Daemon::spawn(&mut self.command(keks, &["serve", "--listen", "127.0.0.1:0"]))
    }

    /// Stores a secret in the designated vault.
    #[track_caller]
    pub fn put(&self, keks: Keks, name: &str, value: &str) {
        std::fs::write(self.path().join("value"), value).expect("writable");
        self.ok(keks, &["secret", "put", name, "--from-file", "value"]);
    }

    /// Opens the database past this program.
    pub fn raw(&self) -> Connection {
        Connection::open(self.database()).expect("it is there")
    }

    /// Opens the vaults in this process.
    pub async fn open(&self, keks: Keks<'_>) -> SecretVaults {
        open(&self.database(), self.keyring(keks)).await
    }

    /// The value that a trusted tool would get, or why it would get none.
    pub async fn released(&self, keks: Keks<'_>, name: &str) -> Result<String, ReleaseError> {
        let vaults = self.open(keks).await;
        let app = vaults.apps().await.expect("readable").remove(0);
        let released = release(&vaults, app.id, name).await;
        vaults.close().await.expect("it works");
        released
    }

    fn keyring(&self, (primary, previous): Keks) -> Keyring {
        let text = |kek: &str| std::fs::read_to_string(self.path().join(kek)).expect("it is there");
        let previous = (!previous.is_empty()).then(|| text(previous));
        let previous = previous.as_deref().map(str::trim);
        Keyring::local(text(primary).trim(), previous).expect("valid")
    }
}

/// Opens the vaults of a database in this process.
pub async fn open(database: &Path, keyring: Keyring) -> SecretVaults {
    let store = SqliteStore::open(database, SqliteOptions::default()).expect("it opens");
    SecretVaults::open(Arc::new(store), Some(keyring))
        .await
        .expect("it can be read")
}

/// The value that a trusted tool of this app would get, or why it would get none.
pub async fn release(
    vaults: &SecretVaults,
    app: AppId,
    name: &str,
) -> Result<String, ReleaseError> {
    let context = ReleaseContext::new(app, "tool", "sha256:00");
    let name = name.parse().expect("valid");
    let released = vaults.release(&context, &name).await?;
    Ok(released.value.expose().to_owned())
}
