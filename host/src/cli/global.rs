//! The options of every command, and everything that a command reads with the operator's own
//! rights: the configuration, and credentials from the environment or from files that it names.
//! These are read when they are needed, or early if the process is about to take another user's
//! rights.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStr, Resettable};
use vault_core::{Credential, Rights};
use zeroize::Zeroizing;

use super::outcome::{Failure, Outcome, sentence, usage};
use crate::config::{Config, StorageUrl};
use crate::storage;
use tavora_trust::guard;

/// The variable with the platform's KEK.
pub(crate) const KEK_VARIABLE: &str = "TAVORA_SECRET_KEK";
pub(crate) const PREVIOUS_VARIABLE: &str = "TAVORA_SECRET_KEK_PREVIOUS";
/// The variable with the token of the operator API and the page.
pub(crate) const ADMIN_TOKEN_VARIABLE: &str = "TAVORA_ADMIN_TOKEN";

const VARIABLES: [&str; 4] = [
    KEK_VARIABLE,
    PREVIOUS_VARIABLE,
    ADMIN_TOKEN_VARIABLE,
    storage::PASSWORD_VARIABLE,
];

/// Options of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// The folder with the database, the admin token, the key of `dev`, and caches.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = filled("TAVORA_DATA"),
        default_value = ".tavora"
    )]
    pub(super) data: PathBuf,
    /// The configuration file [default: tavora.toml, if it is there].
    #[arg(long, global = true, value_name = "FILE", env = filled("TAVORA_CONFIG"))]
    pub(super) config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[arg(skip)]
    pub(super) early: Early,
}

/// Returns the variable's name, unless the variable is empty, which counts as not set.
fn filled(name: &'static str) -> Resettable<OsStr> {
    let is_empty = std::env::var_os(name).is_some_and(|value| value.is_empty());
    (!is_empty).then(|| OsStr::from(name)).into()
}

/// The values that were read early, or the errors.
#[derive(Default)]
pub(crate) struct Early {
    config: Option<Result<Config, String>>,
    credentials: BTreeMap<&'static str, Result<Vec<Credential>, String>>,
    /// The user whose rights the process took afterwards.
    pub owner: Option<u32>,
}

impl Early {
    /// Reads the configuration and all credentials.
    pub(crate) fn read(global: &Global) -> Self {
        let config = global.config().map(absolute);
        let read = |name| (name, read(name).map_err(|failure| failure.to_string()));
        Self {
            config: Some(config.map_err(|failure| failure.to_string())),
            credentials: VARIABLES.map(read).into(),
            owner: None,
        }
    }
}

impl Global {
    /// Returns the configuration: from the named file, or from `tavora.toml` if it exists.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        if let Some(config) = &self.early.config {
            return config.clone().map_err(Failure::Usage);
        }
        let Some(file) = self.config_file() else {
            return Ok(Config::default());
        };
        check_config(file, self.config.is_some())?;
        Config::load(file).map_err(usage)
    }

    /// Returns the file of the configuration, if there is one.
    pub(crate) fn config_file(&self) -> Option<&Path> {
        let default = Path::new("tavora.toml");
        match &self.config {
            Some(path) => Some(path),
            None => default.exists().then_some(default),
        }
    }

    /// Returns the credential from an environment variable, or from the file that the variable
    /// names. An empty variable counts as not set.
    pub(crate) fn credential(&self, name: &'static str) -> Result<Option<Credential>, Failure> {
        Ok(self.credentials(name)?.into_iter().next())
    }

    /// Like [`Self::credential`], for a variable that may hold a list.
    pub(crate) fn credentials(&self, name: &'static str) -> Result<Vec<Credential>, Failure> {
        match self.early.credentials.get(name) {
            Some(read) => read.clone().map_err(Failure::Usage),
            None => read(name),
        }
    }
}

/// Refuses a configuration that another user could have put there, because it decides what runs
/// with credentials. A file that the user `named` may belong to anybody.
fn check_config(file: &Path, named: bool) -> Outcome {
    // An error here is reported when the file is read.
    let Ok(found) = file.metadata() else {
        return Ok(());
    };
    if !named {
        check_owner(file, &found)?;
    }
    guard::check_with_folders(file, &found).map_err(usage)
}

/// Refuses a file that another user owns.
pub(super) fn check_owner(path: &Path, found: &Metadata) -> Outcome {
    let rights = Rights::of(found);
    match rights.is_ours() {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "{} belongs to another user (id {}); take a folder of your own",
            path.display(),
            rights.owner()
        ))),
    }
}

fn read(name: &'static str) -> Result<Vec<Credential>, Failure> {
    let text = match std::env::var(name) {
        Ok(text) if text.is_empty() => return Ok(Vec::new()),
        Ok(text) => Zeroizing::new(text),
        Err(VarError::NotPresent) => return Ok(Vec::new()),
        Err(VarError::NotUnicode(_)) => {
            return Err(Failure::Usage(format!(
                "{name} is not text; set it to what its documentation says"
            )));
        }
    };
    match name == PREVIOUS_VARIABLE {
        true => Credential::read_list(&text).map_err(|(place, error)| {
            Failure::Usage(format!("{name}, number {place}: {}", sentence(&error)))
        }),
        false => match Credential::read(&text) {
            Ok(read) => Ok(vec![read]),
            Err(error) => Err(Failure::Usage(format!("{name}: {}", sentence(&error)))),
        },
    }
}

/// Makes the database's path absolute, so that it is valid from every folder.
fn absolute(mut config: Config) -> Config {
    if let Some(StorageUrl::Sqlite(path)) = &mut config.storage.url
        && let Ok(whole) = std::path::absolute::<&PathBuf>(path)
    {
        *path = whole;
    }
    config
}
