//! Access to the data for commands: the folder, the store, the keyring, and the selected app.
//!
//! A KEK from the environment takes precedence. The file that `dev` made is used only by commands
//! on that folder.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vault_core::{
    App, Caller, Credential, KekProvider, Keyring, LocalKek, Rights, SecretVaults, Store,
    VaultError, VaultName, VaultView,
};
use zeroize::Zeroizing;

use super::chosen_app;
use super::global::{Global, KEK_VARIABLE, PREVIOUS_VARIABLE, check_owner};
use super::outcome::{Failure, Outcome, sentence, usage};
use crate::config::{Config, StorageUrl};
use crate::storage::{self, StorageError};
use tavora_keks as kek;
use tavora_keks::config::ProviderKind;
use tavora_platform::{Platform, StartError};
use tavora_trust::guard;

/// The file in the data folder with the KEK that `dev` made.
pub(crate) const KEK_FILE: &str = "kek";

/// The place from which a command takes the KEK.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KekSource {
    /// Only the environment.
    Environment,
    /// The environment, or else the file that `dev` made.
    EnvironmentOrFolder,
}

/// An open store with its vaults.
pub(crate) struct Session {
    pub vaults: SecretVaults,
    pub config: Config,
    data: PathBuf,
    pub url: StorageUrl,
}

impl Session {
    /// Runs `work` on existing data.
    pub(crate) async fn with(global: &Global, work: impl AsyncFnOnce(&Self) -> Outcome) -> Outcome {
        let url = global.config()?.storage.url_in(&global.data);
        if let StorageUrl::Sqlite(file) = &url {
            existing(file)?;
        }
        Self::with_new(global, KekSource::EnvironmentOrFolder, work).await
    }

    /// Like [`Self::with`], but makes the folder and the database if they do not exist.
    pub(crate) async fn with_new(
        global: &Global,
        kek: KekSource,
        work: impl AsyncFnOnce(&Self) -> Outcome,
    ) -> Outcome {
        let config = global.config()?;
        make_private_folder(&global.data)?;
        let url = config.storage.url_in(&global.data);
        Self::on(url, global, config, kek, work).await
    }

    /// Like [`Self::with`], on this database.
    pub(crate) async fn on(
        url: StorageUrl,
        global: &Global,
        config: Config,
        kek: KekSource,
        work: impl AsyncFnOnce(&Self) -> Outcome,
    ) -> Outcome {
        let keyring = keyring(&config, kek, global)?;
        let store = open_store(url.clone(), global, &config).await?;
        let vaults = SecretVaults::open(store, keyring).await?;
        let session = Self {
            vaults,
            config,
            data: global.data.clone(),
            url,
        };
        // The store must be closed in any case, so that it can remove deleted data.
        let outcome = work(&session).await;
        let closed = session.vaults.close().await;
        outcome?;
        Ok(closed?)
    }

    /// Returns the place of the data for messages: the data folder, or a database elsewhere.
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
        // The engine's cache accepts only absolute paths.
        let cache = cache.canonicalize()?;
        Platform::start(self.vaults.clone(), &self.config, Some(&cache))
            .await
            .map_err(|error| match error {
                StartError::Engine(_) => error.into(),
                wrong_configuration => usage(wrong_configuration),
            })
    }

    /// Returns the app with this name. Without a name, returns the app that this data folder
    /// remembers, or the only app.
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
            (Some(name), apps) => named(apps, name).ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no app {name:?}; there is: {}",
                    known(apps)
                ))
            }),
            (None, apps) => match (chosen_app::remembered(&self.data), apps) {
                (Some(slug), apps) => named(apps, &slug).ok_or_else(|| {
                    Failure::Usage(format!(
                        "there is no app {slug:?} any more, which `app use` remembers; `tavora-host app use NAME` with one of these ends that: {}",
                        known(apps)
                    ))
                }),
                (None, [app]) => Ok(app.clone()),
                (None, apps) => Err(Failure::Usage(format!(
                    "there are several apps; say which with --app or TAVORA_APP, or once with `tavora-host app use NAME`: {}",
                    known(apps)
                ))),
            },
        }
    }

    /// Returns the slug of the app that this data folder remembers.
    pub(crate) fn remembered_app(&self) -> Option<String> {
        chosen_app::remembered(&self.data)
    }

    /// Remembers an app in this data folder, or forgets it.
    pub(crate) fn remember_app(&self, app: Option<&App>) -> Outcome {
        chosen_app::remember(&self.data, app.map(|app| &app.slug))
    }

    /// Returns the vault with this name in `app`, or the designated vault without a name.
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

fn named(apps: &[App], name: &str) -> Option<App> {
    let is_named = |app: &&App| app.slug.as_str() == name || app.id.to_string() == name;
    apps.iter().find(is_named).cloned()
}

/// Returns the caller that the audit records for the command line.
pub(crate) fn operator() -> Caller {
    Caller::operator()
}

/// Maps a vault's error. A name that is taken or missing is a mistake of the user; other errors are
/// failures.
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

/// Returns the database's file, for a command that copies files.
pub(crate) fn database_file(global: &Global, config: &Config) -> Result<PathBuf, Failure> {
    match config.storage.url_in(&global.data) {
        StorageUrl::Sqlite(file) => Ok(file),
        StorageUrl::Postgres(url) => Err(Failure::Usage(format!(
            "the data is in {url}, and this command copies SQLite files; PostgreSQL's own tools (`pg_dump`, base backups with a WAL archive) back that up and restore it, as docs/postgres.md says"
        ))),
    }
}

/// Refuses a database that does not exist.
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
    if let (StorageUrl::Postgres(url), Some(file)) = (&url, global.config_file())
        && url.has_password()
        && file.metadata()?.mode() & 0o077 != 0
    {
        tracing::warn!(path = %file.display(), "other users can read the database's password; chmod 600 its file, or give the password in {}", storage::PASSWORD_VARIABLE);
    }
    let password = storage_password(global)?;
    let password = password.as_ref().map(|text| text.as_str());
    let (postgres, extra_ca) = (&config.storage.postgres, config.extra_ca_file());
    storage::open(url, password, postgres, extra_ca)
        .await
        .map_err(not_opened)
}

/// Returns the database's password from the environment.
pub(crate) fn storage_password(global: &Global) -> Result<Option<Zeroizing<String>>, Failure> {
    let read = global.credential(storage::PASSWORD_VARIABLE)?;
    Ok(read.map(|read| read.text))
}

/// Maps an error from opening a store. A wrong configuration is a mistake of the user; other errors
/// are failures.
pub(crate) fn not_opened(error: StorageError) -> Failure {
    match error {
        StorageError::Sqlite(error) => error.into(),
        not_opened @ StorageError::Postgres { .. } => not_opened.into(),
        wrong_configuration => usage(wrong_configuration),
    }
}

/// Returns the keyring of the configuration and the environment, or of the data folder's key file
/// if `source` allows it. Returns `None` if there is no key to wrap with.
fn keyring(
    config: &Config,
    source: KekSource,
    global: &Global,
) -> Result<Option<Keyring>, Failure> {
    let file = global.data.join(KEK_FILE);
    let primary = match global.credential(KEK_VARIABLE)? {
        None if source == KekSource::EnvironmentOrFolder && file.exists() => {
            Some(Credential::read_file(&file).map_err(usage)?)
        }
        primary => primary,
    };
    let is_local = config.kek.provider.kind == ProviderKind::Local;
    let mut local = Vec::new();
    if let Some(primary) = &primary {
        local.push(local_kek(primary, KEK_VARIABLE)?);
    }
    // Older KEKs alone make no keyring, because there would be no KEK to wrap with.
    if primary.is_some() || !is_local {
        let previous = global.credentials(PREVIOUS_VARIABLE)?;
        for (index, previous) in previous.iter().enumerate() {
            let name = format!("{PREVIOUS_VARIABLE}, number {}", index + 1);
            local.push(local_kek(previous, &name)?);
        }
    }
    kek::keyring(&config.kek, config.extra_ca_file(), local).map_err(usage)
}

fn local_kek(credential: &Credential, name: &str) -> Result<Arc<dyn KekProvider>, Failure> {
    match LocalKek::of(credential) {
        Ok(kek) => Ok(Arc::new(kek)),
        Err(error) => Err(Failure::Usage(format!("{name}: {}", sentence(&error)))),
    }
}

/// Makes `folder` with access for its owner only. An existing folder must belong to this user.
/// Nobody else may write to it, except for a group of this process, because Kubernetes gives a
/// volume to a user in this way (`fsGroup`).
pub(crate) fn make_private_folder(folder: &Path) -> Outcome {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| anyhow::anyhow!("cannot make the folder {}: {error}", folder.display()))?;
    let found = folder.metadata()?;
    check_owner(folder, &found)?;
    let rights = Rights::of(&found);
    if rights.others_write(folder) || rights.group_writes() && !rights.group_is_ours() {
        return Err(Failure::Usage(format!(
            "{0} can be written by other users; `chmod go-w {0}` ends that",
            folder.display()
        )));
    }
    guard::check(folder, &found).map_err(usage)
}
