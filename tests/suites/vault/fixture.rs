//! Databases in temporary folders, filled and ready. Nothing is asserted here.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tavora_tests::postgres::{Database, Postgres};
use tempfile::TempDir;
use vault_core::{
    App, Caller, Keyring, LocalKek, Metadata, RedactedSecret, ReleaseContext, ReleaseError,
    SecretName, SecretValue, SecretVaults, SqliteOptions, SqliteStore, Store, VaultError,
    VaultView,
};

/// An empty store, with its folder if it has one.
pub struct EmptyStore {
    pub store: Arc<dyn Store>,
    _folder: Option<TempDir>,
}

/// The stores of the conformance suite. Each is one line there.
pub async fn sqlite() -> Option<EmptyStore> {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(
        SqliteStore::open(folder.path().join("vault.db"), SqliteOptions::default()).unwrap(),
    );
    Some(EmptyStore {
        store,
        _folder: Some(folder),
    })
}

/// `None` without a PostgreSQL.
pub async fn postgres() -> Option<EmptyStore> {
    let database = Postgres::shared()?.database();
    Some(EmptyStore {
        store: Arc::new(database.store("one").await.unwrap()),
        _folder: None,
    })
}

/// The kinds of database for a [`Platform`].
#[derive(Clone, Copy)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Makes a test for each kind from an async function of a [`Kind`].
macro_rules! on_every_kind {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::fixture::Kind::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if tavora_tests::postgres::Postgres::shared().is_some() {
                    super::$test(crate::fixture::Kind::Postgres).await;
                }
            })*
        }
    };
}

pub(crate) use on_every_kind;

/// A database with one app that designates one vault. It is a SQLite file unless said otherwise.
pub struct Platform {
    pub vaults: SecretVaults,
    pub app: App,
    pub vault: VaultView,
    pub kek: String,
    home: Home,
}

enum Home {
    Folder(TempDir),
    Database(Database),
}

impl Platform {
    pub async fn new() -> Self {
        Self::with(SqliteOptions::default()).await
    }

    pub async fn on(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::new().await,
            Kind::Postgres => {
                let postgres = Postgres::shared().expect("the test asked whether there is one");
                let database = postgres.database();
                let store = Arc::new(database.store("one").await.unwrap());
                Self::at(Home::Database(database), store).await
            }
        }
    }

    pub async fn with(options: SqliteOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("vault.db"), options).unwrap());
        Self::at(Home::Folder(folder), store).await
    }

    async fn at(home: Home, store: Arc<dyn Store>) -> Self {
        let kek = LocalKek::make_text().to_string();
        let vaults = SecretVaults::open(store, Some(keyring(&kek)))
            .await
            .unwrap();
        let (app, vault) = app_with_vault(&vaults, "Shop").await;
        Self {
            vaults,
            app,
            vault,
            kek,
            home,
        }
    }

    /// The path of the SQLite file.
    pub fn path(&self) -> PathBuf {
        match &self.home {
            Home::Folder(folder) => folder.path().join("vault.db"),
            Home::Database(_) => panic!("the database is no file"),
        }
    }

    /// Opens the database as another process would.
    pub fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// Opens the database once more, as another process with its own keyring would. On PostgreSQL
    /// this process is another host.
    pub async fn beside(&self, keyring: Keyring) -> SecretVaults {
        let store: Arc<dyn Store> = match &self.home {
            Home::Folder(_) => {
                Arc::new(SqliteStore::open(self.path(), SqliteOptions::default()).unwrap())
            }
            Home::Database(database) => Arc::new(database.store("another").await.unwrap()),
        };
        SecretVaults::open(store, Some(keyring)).await.unwrap()
    }

    pub async fn put(&self, name: &str, value: &str) -> RedactedSecret {
        put(&self.vaults, &self.app, &self.vault, name, value).await
    }

    pub async fn delete(&self, name: &str) -> bool {
        delete(&self.vaults, &self.app, &self.vault, name)
            .await
            .unwrap()
    }

    pub async fn release(&self, name: &str) -> Result<String, ReleaseError> {
        release(&self.vaults, &self.app, name).await
    }

    /// Whether these bytes are anywhere in the database's files.
    pub fn files_hold(&self, needle: &[u8]) -> bool {
        files_hold(&self.path(), needle)
    }
}

pub fn keyring(kek: &str) -> Keyring {
    Keyring::local(kek, None).unwrap()
}

/// A keyring that never sealed anything.
pub fn fresh_keyring() -> Keyring {
    keyring(&LocalKek::make_text())
}

pub fn operator() -> Caller {
    Caller::operator().in_request("req-test")
}

pub fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

pub fn value(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned()).unwrap()
}

/// Makes an app and its designated vault.
pub async fn app_with_vault(vaults: &SecretVaults, app: &str) -> (App, VaultView) {
    let app = vaults
        .create_app(&operator(), app.parse().unwrap(), None, None)
        .await
        .unwrap();
    let vault = create_vault(vaults, &app, "main").await;
    vaults
        .designate(&operator(), app.id, Some(vault.id))
        .await
        .unwrap();
    (app, vault)
}

pub async fn create_vault(vaults: &SecretVaults, app: &App, name: &str) -> VaultView {
    let name = name.parse().unwrap();
    vaults
        .create_vault(&operator(), app.id, name, Metadata::default())
        .await
        .unwrap()
}

pub async fn put(
    vaults: &SecretVaults,
    app: &App,
    vault: &VaultView,
    key: &str,
    text: &str,
) -> RedactedSecret {
    try_put(vaults, app, vault, key, text).await.unwrap()
}

pub async fn try_put(
    vaults: &SecretVaults,
    app: &App,
    vault: &VaultView,
    key: &str,
    text: &str,
) -> Result<RedactedSecret, VaultError> {
    vaults
        .put_secret(&operator(), app.id, vault.id, &name(key), &value(text))
        .await
}

pub async fn delete(
    vaults: &SecretVaults,
    app: &App,
    vault: &VaultView,
    key: &str,
) -> Result<bool, VaultError> {
    vaults
        .delete_secret(&operator(), app.id, vault.id, &name(key))
        .await
}

pub async fn release(vaults: &SecretVaults, app: &App, key: &str) -> Result<String, ReleaseError> {
    let context = ReleaseContext::new(app.id, "tool", "sha256:00");
    Ok(vaults
        .release(&context, &name(key))
        .await?
        .value
        .expose()
        .to_owned())
}

/// Whether these bytes are in the database file or one of its companions.
pub fn files_hold(path: &Path, needle: &[u8]) -> bool {
    let folder = fs::read_dir(path.parent().unwrap()).unwrap();
    // SQLite removes its companions when the last connection closes, perhaps just now.
    folder
        .filter_map(|entry| fs::read(entry.unwrap().path()).ok())
        .any(|bytes| holds(&bytes, needle))
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
