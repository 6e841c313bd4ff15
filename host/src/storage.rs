//! Opens the store that a configuration names, with its password, its TLS roots and its limits.
//!
//! Only this module knows which kinds of stores exist. A password is passed to the database and
//! nowhere else. The command line reads the environment.

pub mod config;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use vault_core::{
    ChainName, Credential, CredentialError, PostgresOptions, PostgresSource, PostgresStore,
    PostgresTarget, PostgresUrl, SqliteOptions, SqliteSource, SqliteStore, SqliteTarget, Store,
    StoreError, TransferSource, TransferTarget,
};

use self::config::{PostgresConfig, StorageUrl};
use tavora_trust::{ConfigError, TrustError, client_config, client_config_of, extra_ca_pem};

/// The environment variable with the database's password.
pub const PASSWORD_VARIABLE: &str = "TAVORA_STORAGE_PASSWORD";

/// Why no store could be opened.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There are two passwords, and one of them may be outdated.
    #[error(
        "{url} has a password in its URL and another one in {PASSWORD_VARIABLE}; take one of them away"
    )]
    TwoPasswords {
        /// The database.
        url: PostgresUrl,
    },
    /// The password cannot be read.
    #[error("{PASSWORD_VARIABLE}")]
    Password(#[from] CredentialError),
    /// The file of certificate authorities of `[egress]` cannot be read.
    #[error("[egress] extra_ca_file: {0}")]
    ExtraCaUnreadable(#[from] ConfigError),
    /// The certificate authorities of `[egress]` cannot be used.
    #[error("[egress] extra_ca_file: {0}")]
    ExtraCa(TrustError),
    /// The file of the URL's `sslrootcert` cannot be read.
    #[error("sslrootcert: cannot read {}: {source}", path.display())]
    RootsUnreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file of the URL's `sslrootcert` cannot be used.
    #[error("sslrootcert: {}: {source}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// The fault of the file.
        source: TrustError,
    },
    /// The machine has no name to use for this host.
    #[error("this machine has no name to call the host by; set [storage.postgres] host_name")]
    HostName,
    /// The SQLite file cannot be opened. The store's error names it.
    #[error(transparent)]
    Sqlite(#[from] StoreError),
    /// The PostgreSQL database cannot be opened.
    #[error("{url}: {source}")]
    Postgres {
        /// The database.
        url: PostgresUrl,
        /// The store's error.
        source: StoreError,
    },
}

/// Opens the store at `url`, creates what is missing in it, and migrates it. The password is for a
/// PostgreSQL database whose URL has none: the text itself, or `file:///path` of a file that holds
/// it.
///
/// # Errors
/// The configuration is not consistent, or the store cannot be opened.
pub async fn open(
    url: StorageUrl,
    password: Option<&str>,
    config: &PostgresConfig,
    extra_ca_file: Option<&Path>,
) -> Result<Arc<dyn Store>, StorageError> {
    Ok(match url {
        StorageUrl::Sqlite(file) => Arc::new(SqliteStore::open(file, SqliteOptions::default())?),
        StorageUrl::Postgres(url) => {
            Arc::new(open_postgres(url, password, config, extra_ca_file).await?)
        }
    })
}

/// Like [`open`], for a PostgreSQL database.
///
/// # Errors
/// Like [`open`].
pub async fn open_postgres(
    url: PostgresUrl,
    password: Option<&str>,
    config: &PostgresConfig,
    extra_ca_file: Option<&Path>,
) -> Result<PostgresStore, StorageError> {
    let (url, tls, options) = prepared(url, password, config, extra_ca_file)?;
    PostgresStore::open(&url, tls, options)
        .await
        .map_err(|source| StorageError::Postgres { url, source })
}

/// Returns the store at `url` as a source to move everything from. Nothing is opened yet.
///
/// # Errors
/// The configuration is not consistent.
pub fn source(
    url: StorageUrl,
    password: Option<&str>,
    config: &PostgresConfig,
    extra_ca_file: Option<&Path>,
) -> Result<Box<dyn TransferSource>, StorageError> {
    Ok(match url {
        StorageUrl::Sqlite(file) => Box::new(SqliteSource::at(file)),
        StorageUrl::Postgres(url) => {
            let (url, tls, options) = prepared(url, password, config, extra_ca_file)?;
            Box::new(PostgresSource::at(&url, tls, &options)?)
        }
    })
}

/// Returns the store at `url` as a target to move everything to. Nothing is opened or created yet.
///
/// # Errors
/// The configuration is not consistent.
pub fn target(
    url: StorageUrl,
    password: Option<&str>,
    config: &PostgresConfig,
    extra_ca_file: Option<&Path>,
) -> Result<Box<dyn TransferTarget>, StorageError> {
    Ok(match url {
        StorageUrl::Sqlite(file) => Box::new(SqliteTarget::at(file)),
        StorageUrl::Postgres(url) => {
            let (url, tls, options) = prepared(url, password, config, extra_ca_file)?;
            Box::new(PostgresTarget::at(&url, tls, options)?)
        }
    })
}

/// Collects the settings of a connection to a PostgreSQL database.
fn prepared(
    mut url: PostgresUrl,
    password: Option<&str>,
    config: &PostgresConfig,
    extra_ca_file: Option<&Path>,
) -> Result<(PostgresUrl, Arc<ClientConfig>, PostgresOptions), StorageError> {
    if let Some(reference) = password {
        if url.has_password() {
            return Err(StorageError::TwoPasswords { url });
        }
        url.set_password(&Credential::read(reference)?.text);
    }
    let options = options(config)?;
    let tls = Arc::new(tls(&url, extra_ca_file)?);
    Ok((url, tls, options))
}

/// Returns this host's name for the audit: from the configuration, or the machine's name.
///
/// # Errors
/// The machine has no name.
pub fn host_name(config: &PostgresConfig) -> Result<ChainName, StorageError> {
    if let Some(name) = &config.host_name {
        return Ok(name.clone());
    }
    let machine = nix::unistd::gethostname().unwrap_or_default();
    let plain = |c: char| match c.is_ascii_alphanumeric() || "._-".contains(c) {
        true => c,
        false => '-',
    };
    let name: String = machine
        .to_string_lossy()
        .chars()
        .map(plain)
        .take(64)
        .collect();
    match name.parse::<ChainName>() {
        Ok(name) if !name.as_str().is_empty() => Ok(name),
        _ => Err(StorageError::HostName),
    }
}

fn options(config: &PostgresConfig) -> Result<PostgresOptions, StorageError> {
    let ms = |number: std::num::NonZeroU64| Duration::from_millis(number.get());
    Ok(PostgresOptions {
        host: host_name(config)?,
        connect_timeout: ms(config.connect_timeout_ms),
        statement_timeout: ms(config.statement_timeout_ms),
        idle_transaction_timeout: ms(config.idle_transaction_timeout_ms),
        operation_timeout: ms(config.operation_timeout_ms),
        verify_timeout: ms(config.verify_timeout_ms),
        connections_max: config.max_connections.get(),
        attempts_max: config.max_attempts.get(),
        group_max_jobs: config.max_writes_per_commit.get(),
        queue_max_jobs: config.max_waiting_writes.get(),
    })
}

/// Returns the TLS configuration for the database. It trusts only the URL's `sslrootcert`. Without
/// it, it trusts the platform's authorities and those of `[egress] extra_ca_file`.
fn tls(url: &PostgresUrl, extra_ca_file: Option<&Path>) -> Result<ClientConfig, StorageError> {
    let Some(path) = url.root_certificate() else {
        let extra = extra_ca_pem(extra_ca_file)?;
        return client_config(extra.as_deref()).map_err(StorageError::ExtraCa);
    };
    let pem = std::fs::read(path).map_err(|source| StorageError::RootsUnreadable {
        path: path.to_owned(),
        source,
    })?;
    client_config_of(&pem).map_err(|source| StorageError::Roots {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://me@localhost/vault";

    async fn refusal(url: &str, password: Option<&str>) -> StorageError {
        let url: StorageUrl = url.parse().expect("valid");
        match open(url, password, &PostgresConfig::default(), None).await {
            Err(error) => error,
            Ok(_) => panic!("there is no server"),
        }
    }

    #[tokio::test]
    async fn a_password_is_given_once() {
        let url = "postgres://me:s3cret@localhost/vault";
        let refused = refusal(url, Some("0ther")).await;
        let sentence = format!("{refused} {refused:?}");
        assert!(matches!(refused, StorageError::TwoPasswords { .. }));
        assert!(sentence.contains("postgres://me@localhost/vault"));
        assert!(
            !sentence.contains("s3cret") && !sentence.contains("0ther"),
            "{sentence}"
        );
    }

    #[tokio::test]
    async fn a_passwords_file_must_be_there() {
        let refused = refusal(URL, Some("file://relative")).await;
        assert!(matches!(refused, StorageError::Password(_)), "{refused:?}");
        let refused = refusal(URL, Some("file:///nothing/here")).await;
        assert!(matches!(refused, StorageError::Password(_)), "{refused:?}");
    }

    #[tokio::test]
    async fn authorities_that_cannot_be_used_are_named() {
        let url = "postgres://me@db.example.com/vault?sslrootcert=";
        let refused = refusal(&format!("{url}/nothing/here"), None).await;
        assert!(matches!(refused, StorageError::RootsUnreadable { .. }));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let refused = refusal(&format!("{url}{}", file.path().display()), None).await;
        assert!(matches!(
            refused,
            StorageError::Roots {
                source: TrustError::NoCertificate,
                ..
            }
        ));
    }

    #[test]
    fn the_defaults_are_those_of_the_store() {
        let config = PostgresConfig::default();
        let host = host_name(&config).expect("a machine has a name");
        assert_eq!(options(&config).expect("it has"), PostgresOptions::of(host));
    }

    #[test]
    fn a_host_has_the_machines_name_unless_it_has_its_own() {
        let own = PostgresConfig {
            host_name: Some("host-1".parse().expect("valid")),
            ..PostgresConfig::default()
        };
        assert_eq!(host_name(&own).expect("given").as_str(), "host-1");
        let machines = host_name(&PostgresConfig::default()).expect("a machine has a name");
        assert!(!machines.as_str().is_empty());
    }
}
