//! What commands share to get at the data: the folder, the store, the keyring, and the app that is meant.
//!
//! The environment's KEK comes first; the file that `dev` made is for commands on that folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vault_core::{
    App, Caller, Keyring, SecretVaults, SqliteOptions, SqliteStore, VaultError, VaultName, VaultView,
};
use zeroize::Zeroizing;

use super::{Failure, Global, sentence};
use crate::config::Config;
use crate::platform::Platform;

/// The environment's names for the platform key and those before it.
pub(crate) const KEK_VARIABLE: &str = "TAVORA_SECRET_KEK";
const PREVIOUS_VARIABLE: &str = "TAVORA_SECRET_KEK_PREVIOUS";

/// The file in the data folder that holds the KEK which `dev` made.
pub(crate) const KEK_FILE: &str = "kek";

/// An open data folder.
pub(crate) struct Session {
    pub vaults: SecretVaults,
    pub config: Config,
    data: PathBuf,
}

impl Session {
    /// Opens data that exists.
    pub(crate) async fn open(global: &Global) -> Result<Self, Failure> {
        Self::open_with(global, false).await
    }

    /// Opens the data, and makes the folder and the database where there are none.
    pub(crate) async fn open_or_make(global: &Global) -> Result<Self, Failure> {
        Self::open_with(global, true).await
    }

    async fn open_with(global: &Global, make: bool) -> Result<Self, Failure> {
        let config = config(global)?;
        let database = match &config.storage.url {
            Some(url) => url.0.clone(),
            None => global.data.join("tavora.db"),
        };
        if !make && !database.exists() {
            return Err(Failure::Usage(format!(
                "there is no database at {}; `tavora-host dev` or `tavora-host app create NAME` makes one",
                database.display()
            )));
        }
        let keyring = keyring(&global.data)?;
        make_private_folder(&global.data)?;
        let store = SqliteStore::open(&database, SqliteOptions::default())?;
        let vaults = SecretVaults::open(Arc::new(store), keyring).await?;
        Ok(Self {
            vaults,
            config,
            data: global.data.clone(),
        })
    }

    /// Starts the tools and the sandbox on this data.
    pub(crate) async fn platform(&self) -> Result<Platform, Failure> {
        let cache = self.data.join("cache");
        make_private_folder(&cache)?;
        // The engine's cache takes absolute paths only.
        let cache = cache.canonicalize()?;
        Ok(Platform::start(self.vaults.clone(), &self.config, Some(&cache)).await?)
    }

    /// The app of that name; without a name, the only one there is.
    pub(crate) async fn app(&self, name: Option<&str>) -> Result<App, Failure> {
        let apps = self.vaults.apps().await?;
        let known = |apps: &[App]| {
            let slugs: Vec<&str> = apps.iter().map(|app| app.slug.as_str()).collect();
            slugs.join(", ")
        };
        match (name, apps.as_slice()) {
            (_, []) => Err(Failure::Usage(
                "there is no app yet; `tavora-host app create NAME` makes one".to_owned(),
            )),
            (None, [app]) => Ok(app.clone()),
            (None, apps) => Err(Failure::Usage(format!(
                "there are several apps; say which with --app: {}",
                known(apps)
            ))),
            (Some(name), apps) => apps
                .iter()
                .find(|app| app.slug.as_str() == name || app.id.to_string() == name)
                .cloned()
                .ok_or_else(|| {
                    Failure::Usage(format!("there is no app {name:?}; there is: {}", known(apps)))
                }),
        }
    }

    /// The vault of that name in `app`; without a name, the one that the app designates.
    pub(crate) async fn vault(&self, app: &App, name: Option<&str>) -> Result<VaultView, Failure> {
        let Some(name) = name else {
            let designated = app.vault_id.ok_or_else(|| {
                Failure::Usage(format!(
                    "the app {:?} has no vault designated; say which with --vault, or designate one",
                    app.slug.as_str()
                ))
            })?;
            return Ok(self.vaults.vault(app.id, designated).await?);
        };
        let known = VaultName::try_from(name.to_owned()).map_err(usage)?;
        match self.vaults.vault_by_name(app.id, &known).await {
            Err(VaultError::NotFound { .. }) => Err(Failure::Usage(format!(
                "the app {:?} has no vault {name:?}; `tavora-host vault list` shows those it has",
                app.slug.as_str()
            ))),
            found => Ok(found?),
        }
    }

    /// Waits for what the store still has to do.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.vaults.close().await?)
    }
}

/// Who does what the command line does.
pub(crate) fn operator() -> Caller {
    Caller::operator()
}

/// A mistake in what the user typed.
pub(crate) fn usage(error: impl Into<Box<dyn std::error::Error>>) -> Failure {
    Failure::Usage(sentence(&*error.into()))
}

/// The configuration: the file that was named, else `tavora.toml` where there is one.
pub(crate) fn config(global: &Global) -> Result<Config, Failure> {
    let default = Path::new("tavora.toml");
    match &global.config {
        Some(path) => Config::load(path).map_err(usage),
        None if default.exists() => Config::load(default).map_err(usage),
        None => Ok(Config::default()),
    }
}

/// The keyring of the environment, or of the data folder's key file; `None` where there is neither.
fn keyring(data: &Path) -> Result<Option<Keyring>, Failure> {
    let file = data.join(KEK_FILE);
    let primary = match std::env::var(KEK_VARIABLE) {
        Ok(text) if !text.is_empty() => Zeroizing::new(text),
        _ if file.exists() => {
            let file = file.canonicalize()?;
            Zeroizing::new(format!("file://{}", file.display()))
        }
        _ => return Ok(None),
    };
    let previous = std::env::var(PREVIOUS_VARIABLE).ok().map(Zeroizing::new);
    let previous = previous.as_ref().map(|text| text.as_str()).filter(|text| !text.is_empty());
    Keyring::local(&primary, previous).map(Some).map_err(usage)
}

/// Makes `folder` for its owner alone; one that exists is left as it is.
pub(crate) fn make_private_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            Failure::Failed(anyhow::anyhow!("cannot make the folder {}: {error}", folder.display()))
        })
}
