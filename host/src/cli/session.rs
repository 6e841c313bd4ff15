//! What commands share to get at the data: the folder, the store, the keyring, and the app that is meant.
//!
//! The environment's KEK comes first; the file that `dev` made is for commands on that folder.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vault_core::{App, Caller, Keyring, SecretVaults, Store, VaultError, VaultName, VaultView};
use zeroize::Zeroizing;

use super::{Failure, Global, Outcome, sentence};
use crate::config::{Config, StorageUrl};
use crate::kek;
use crate::kek::config::ProviderKind;
use crate::platform::{Platform, StartError};
use crate::storage::{self, StorageError};

/// The environment's names for the platform key and those before it.
pub(crate) const KEK_VARIABLE: &str = "TAVORA_SECRET_KEK";
pub(crate) const PREVIOUS_VARIABLE: &str = "TAVORA_SECRET_KEK_PREVIOUS";

/// The file in the data folder that holds the KEK which `dev` made.
pub(crate) const KEK_FILE: &str = "kek";

/// Where a command takes the KEK from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KekSource {
    /// The environment and nothing else.
    Environment,
    /// Where the environment has none, the file that `dev` made.
    EnvironmentOrFolder,
}

/// Open data.
pub(crate) struct Session {
    pub vaults: SecretVaults,
    pub config: Config,
    data: PathBuf,
    pub url: StorageUrl,
}

impl Session {
    /// Does `work` on data that exists.
    pub(crate) async fn with(global: &Global, work: impl AsyncFnOnce(&Self) -> Outcome) -> Outcome {
        let url = config(global)?.storage.url_in(&global.data);
        if let StorageUrl::Sqlite(file) = &url {
            existing(file)?;
        }
        Self::with_new(global, KekSource::EnvironmentOrFolder, work).await
    }

    /// The same, and makes the folder and the database where there are none.
    pub(crate) async fn with_new(
        global: &Global,
        kek: KekSource,
        work: impl AsyncFnOnce(&Self) -> Outcome,
    ) -> Outcome {
        let config = config(global)?;
        make_private_folder(&global.data)?;
        let url = config.storage.url_in(&global.data);
        Self::on(url, global, config, kek, work).await
    }

    /// The same on this database.
    pub(crate) async fn on(
        url: StorageUrl,
        global: &Global,
        config: Config,
        kek: KekSource,
        work: impl AsyncFnOnce(&Self) -> Outcome,
    ) -> Outcome {
        let keyring = keyring(&config, kek, &global.data)?;
        let store = open_store(url.clone(), global, &config).await?;
        let vaults = SecretVaults::open(store, keyring).await?;
        let session = Self {
            vaults,
            config,
            data: global.data.clone(),
            url,
        };
        // However the work ends, the store gets to remove what was deleted.
        let outcome = work(&session).await;
        let closed = session.vaults.close().await;
        outcome?;
        Ok(closed?)
    }

    /// Where the data is, for people: the data folder, or the database elsewhere.
    pub(crate) fn place(&self) -> String {
        match &self.url {
            StorageUrl::Sqlite(_) => self.data.display().to_string(),
            StorageUrl::Postgres(url) => url.to_string(),
        }
    }

    /// Starts the tools and the sandbox on this data.
    pub(crate) async fn platform(&self) -> Result<Platform, Failure> {
        let cache = self.data.join("cache");
        make_private_folder(&cache)?;
        // The engine's cache takes absolute paths only.
        let cache = cache.canonicalize()?;
        Platform::start(self.vaults.clone(), &self.config, Some(&cache))
            .await
            .map_err(|error| match error {
                StartError::Engine(_) => error.into(),
                wrong_configuration => usage(wrong_configuration),
            })
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
                    Failure::Usage(format!(
                        "there is no app {name:?}; there is: {}",
                        known(apps)
                    ))
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
}

/// Who does what the command line does.
pub(crate) fn operator() -> Caller {
    Caller::operator()
}

/// A mistake in what the user typed.
pub(crate) fn usage(error: impl Into<Box<dyn std::error::Error>>) -> Failure {
    Failure::Usage(sentence(&*error.into()))
}

/// What the vault refused: a mistake of the user's where what was named is taken or missing, a failure otherwise.
pub(crate) fn refused(error: VaultError) -> Failure {
    match error {
        VaultError::NotFound { .. }
        | VaultError::AppSlugTaken { .. }
        | VaultError::VaultNameTaken { .. }
        | VaultError::ExpiryPast { .. }
        | VaultError::KekUnset
        | VaultError::KekNotHeld { .. }
        | VaultError::KekUnknown { .. }
        | VaultError::KekPrimary { .. }
        | VaultError::Slug(_) => usage(error),
        other => other.into(),
    }
}

/// The file of the database, for a command that copies files.
pub(crate) fn database_file(global: &Global, config: &Config) -> Result<PathBuf, Failure> {
    match config.storage.url_in(&global.data) {
        StorageUrl::Sqlite(file) => Ok(file),
        StorageUrl::Postgres(url) => Err(Failure::Usage(format!(
            "the data is in {url}, and this command copies SQLite files; PostgreSQL's own tools (`pg_dump`, base backups with a WAL archive) back that up and restore it, as README says under \"More than one host\""
        ))),
    }
}

/// Refuses a database that is not there.
pub(crate) fn existing(file: &Path) -> Outcome {
    match file.exists() {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "there is no database at {}; `tavora-host dev` or `tavora-host app create NAME` makes one",
            file.display()
        ))),
    }
}

/// Opens the store at `url`, with the environment's password.
async fn open_store(
    url: StorageUrl,
    global: &Global,
    config: &Config,
) -> Result<Arc<dyn Store>, Failure> {
    if let (StorageUrl::Postgres(url), Some(file)) = (&url, config_file(global))
        && url.has_password()
        && file.metadata()?.mode() & 0o077 != 0
    {
        tracing::warn!(path = %file.display(), "other users can read the database's password; chmod 600 its file, or give the password in {}", storage::PASSWORD_VARIABLE);
    }
    let password = storage_password()?;
    storage::open(url, password.as_ref().map(|text| text.as_str()), config)
        .await
        .map_err(not_opened)
}

/// The password of the database, as the environment has it.
pub(crate) fn storage_password() -> Result<Option<Zeroizing<String>>, Failure> {
    variable(storage::PASSWORD_VARIABLE)
}

/// Why a store does not open: a mistake of the user's where its configuration is wrong, a failure otherwise.
pub(crate) fn not_opened(error: StorageError) -> Failure {
    match error {
        StorageError::Store(error) => error.into(),
        wrong_configuration => usage(wrong_configuration),
    }
}

/// The configuration: the file that was named, else `tavora.toml` where there is one.
pub(crate) fn config(global: &Global) -> Result<Config, Failure> {
    let Some(file) = config_file(global) else {
        return Ok(Config::default());
    };
    if global.config.is_none() {
        check_private(file)?;
    }
    Config::load(file).map_err(usage)
}

/// The configuration's file, where there is one.
fn config_file(global: &Global) -> Option<&Path> {
    let default = Path::new("tavora.toml");
    match &global.config {
        Some(path) => Some(path),
        None => default.exists().then_some(default),
    }
}

/// The keyring of the configuration and the environment, or of the data folder's key file where that is wanted; `None`
/// where there is no key to wrap with.
fn keyring(config: &Config, source: KekSource, data: &Path) -> Result<Option<Keyring>, Failure> {
    let file = data.join(KEK_FILE);
    let primary = match variable(KEK_VARIABLE)? {
        None if source == KekSource::EnvironmentOrFolder && file.exists() => {
            let file = file.canonicalize()?;
            Some(Zeroizing::new(format!("file://{}", file.display())))
        }
        primary => primary,
    };
    let is_local = config.kek.provider.kind == ProviderKind::Local;
    // Keys that only open are no keyring: there would be nothing to wrap with.
    let local = match (primary, variable(PREVIOUS_VARIABLE)?) {
        (None, _) if is_local => Vec::new(),
        (primary, previous) => {
            let primary = primary.as_ref().map(|text| text.as_str());
            let previous = previous.as_ref().map(|text| text.as_str());
            Keyring::local_keks(primary, previous).map_err(usage)?
        }
    };
    kek::keyring(config, local).map_err(usage)
}

/// A variable of the environment that holds key material; an empty one is as good as none.
pub(crate) fn variable(name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    use std::env::VarError;
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::Usage(format!(
            "{name} is not text; set it to what its documentation says"
        ))),
    }
}

/// Makes `folder` for its owner alone. One that exists must be this user's, and nobody else's to write.
pub(crate) fn make_private_folder(folder: &Path) -> Outcome {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| anyhow::anyhow!("cannot make the folder {}: {error}", folder.display()))?;
    check_private(folder)
}

/// Refuses what another user could have put there: it decides what runs with credentials.
fn check_private(path: &Path) -> Outcome {
    let found = path.metadata()?;
    let owner = found.uid();
    if owner != nix::unistd::geteuid().as_raw() && owner != 0 {
        return Err(Failure::Usage(format!(
            "{} belongs to another user (id {owner}); take a folder of your own",
            path.display()
        )));
    }
    if found.mode() & 0o022 != 0 {
        return Err(Failure::Usage(format!(
            "{0} can be written by other users; `chmod go-w {0}` ends that",
            path.display()
        )));
    }
    Ok(())
}
