//! `[storage]` of `tavora.toml`: which database holds the data, and its limits.
//!
//! Nothing is opened here, and a password is never shown. `vault-core` decides what the URL of a
//! PostgreSQL database may contain.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use vault_core::{ChainName, InvalidPostgresUrl, PostgresUrl};

/// The schemes of storage URLs.
const SCHEMES: [&str; 3] = ["sqlite", "postgres", "postgresql"];

/// `[storage]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The database: `sqlite://PATH` for a SQLite file, relative to `tavora.toml`, or
    /// `postgres://USER@HOST:PORT/DATABASE` for more than one host. Without it, `tavora.db` in the
    /// data folder. PostgreSQL's password is in `TAVORA_STORAGE_PASSWORD` (itself, or
    /// `file:///path`). To another machine there is TLS, with the platform's authorities and
    /// `extra_ca_file` of `[egress]`, or with those of `?sslrootcert=/path` alone;
    /// `sslmode=disable` turns it off.
    #[schemars(
        with = "Option<String>",
        example = "sqlite:///var/lib/tavora/tavora.db"
    )]
    pub url: Option<StorageUrl>,
    /// Settings for PostgreSQL.
    pub postgres: PostgresConfig,
}

impl StorageConfig {
    /// Resolves relative paths against the folder of the configuration.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        if let Some(StorageUrl::Sqlite(database)) = &mut self.url {
            *database = folder.join(&database);
        }
    }

    /// Returns the store's URL for a host with this data folder.
    pub fn url_in(&self, data: &Path) -> StorageUrl {
        let embedded = || StorageUrl::Sqlite(data.join("tavora.db"));
        self.url.clone().unwrap_or_else(embedded)
    }
}

/// A storage URL that this host can open. It is displayed without its password.
#[derive(Clone, PartialEq, Eq)]
pub enum StorageUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// The text is no storage URL. It is not repeated, because it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStorageUrl {
    /// The text begins with another scheme, or none.
    #[error(
        "a storage URL must read sqlite://PATH or postgres://USER@HOST:PORT/DATABASE{}",
        meant.map_or(String::new(), |scheme| format!("; did you mean {scheme}://?"))
    )]
    Scheme {
        /// The scheme that was probably meant.
        meant: Option<&'static str>,
    },
    /// The URL of a PostgreSQL database has a fault.
    #[error(transparent)]
    Postgres(#[from] InvalidPostgresUrl),
    /// The path of the authorities' file is relative, so it would depend on the working directory.
    #[error("`sslrootcert` must be an absolute path")]
    RelativeRoots,
}

impl StorageUrl {
    /// Returns the kind of the store.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

impl FromStr for StorageUrl {
    type Err = InvalidStorageUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStorageUrl> {
        let scheme = text.split(':').next().unwrap_or_default();
        match text.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", _)) => {
                let url: PostgresUrl = text.parse()?;
                match url.root_certificate().is_none_or(Path::is_absolute) {
                    true => Ok(Self::Postgres(url)),
                    false => Err(InvalidStorageUrl::RelativeRoots),
                }
            }
            _ => Err(InvalidStorageUrl::Scheme {
                meant: meant(scheme),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for StorageUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => write!(f, "{url}"),
        }
    }
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// `[storage.postgres]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// The name of this host in the audit, whose entries are a chain of this name. Without it, the
    /// machine's name. Hosts of one name wait for each other with every write; a name that is new
    /// at each start makes a new chain each time.
    #[serde(deserialize_with = "host_name")]
    #[schemars(with = "Option<String>", example = &"host-1")]
    pub host_name: Option<ChainName>,
    /// The time that connecting and signing in may take.
    pub connect_timeout_ms: NonZeroU64,
    /// The time that the server may work on one statement, and let it wait for locks.
    pub statement_timeout_ms: NonZeroU64,
    /// The time that a transaction may be silent before the server ends it: others wait for what a
    /// host holds that was cut off.
    pub idle_transaction_timeout_ms: NonZeroU64,
    /// The time that a read or a write may take in all, waiting and further attempts included.
    pub operation_timeout_ms: NonZeroU64,
    /// The time that a check of the whole audit may take.
    pub verify_timeout_ms: NonZeroU64,
    /// Connections of this host at once.
    pub max_connections: NonZeroUsize,
    /// Attempts at a read or a write that a lost connection, or what others did, has ended.
    pub max_attempts: NonZeroU32,
    /// Writes that one commit takes.
    pub max_writes_per_commit: NonZeroUsize,
    /// Writes that may wait; more are refused.
    pub max_waiting_writes: NonZeroUsize,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        let ms = |number| NonZeroU64::new(number).expect("it is above zero");
        let count = |number| NonZeroUsize::new(number).expect("it is above zero");
        Self {
            host_name: None,
            connect_timeout_ms: ms(5_000),
            statement_timeout_ms: ms(4_000),
            idle_transaction_timeout_ms: ms(2_000),
            operation_timeout_ms: ms(5_000),
            verify_timeout_ms: ms(600_000),
            max_connections: count(8),
            max_attempts: NonZeroU32::new(5).expect("it is above zero"),
            max_writes_per_commit: count(256),
            max_waiting_writes: count(4_096),
        }
    }
}

/// Returns the scheme that was probably meant by an unknown one.
fn meant(written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    SCHEMES
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&written, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Parses a host's name, which must not be empty: SQLite files use the chain without a name.
fn host_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChainName>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name: ChainName = text.parse().map_err(serde::de::Error::custom)?;
    match name.as_str() {
        "" => Err(serde::de::Error::custom(
            "a host's name is not empty; leave `host_name` out to take the machine's",
        )),
        _ => Ok(Some(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<StorageUrl, InvalidStorageUrl> {
        text.parse()
    }

    #[test]
    fn both_stores_have_a_url() {
        let path = PathBuf::from("/var/lib/tavora.db");
        assert_eq!(
            parse("sqlite:///var/lib/tavora.db"),
            Ok(StorageUrl::Sqlite(path))
        );
        for scheme in ["postgres", "postgresql"] {
            let url = parse(&format!("{scheme}://me:s3cret@db.example.com/vault")).expect("valid");
            assert!(matches!(&url, StorageUrl::Postgres(url) if url.has_password()));
            for shown in [url.to_string(), format!("{url:?}")] {
                assert!(
                    shown.contains("postgres://me@db.example.com/vault"),
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn a_mistyped_scheme_is_told_the_right_one_and_nothing_of_the_text() {
        for (text, scheme) in [
            ("postgre://me:s3cret@db/vault", Some("postgres")),
            ("postgress://me:s3cret@db/vault", Some("postgres")),
            ("POSTGRES://me:s3cret@db/vault", Some("postgres")),
            ("postgres:/me:s3cret@db/vault", Some("postgres")),
            ("postgresq://me:s3cret@db/vault", Some("postgresql")),
            ("sqlite3:///vault.db", Some("sqlite")),
            ("sqlite://", Some("sqlite")),
            ("mysql://me:s3cret@db/vault", None),
            ("me:s3cret@db/vault", None),
            ("", None),
        ] {
            let refusal = parse(text).expect_err(text);
            assert_eq!(
                refusal,
                InvalidStorageUrl::Scheme { meant: scheme },
                "{text}"
            );
            let sentence = refusal.to_string();
            assert!(sentence.contains("sqlite://PATH or postgres://USER@HOST:PORT/DATABASE"));
            assert!(!sentence.contains("s3cret"), "{sentence}");
        }
        let toml = "[storage]\nurl = \"postgre://me:s3cret@db/vault\"";
        assert_eq!(
            Config::parse(toml).expect_err("a typo"),
            "line 2, column 7: a storage URL must read sqlite://PATH or postgres://USER@HOST:PORT/DATABASE; did you mean postgres://?"
        );
    }

    #[test]
    fn a_url_with_any_other_fault_is_refused_without_its_password() {
        for text in [
            "postgres://me:s3cret@/vault",
            "postgres://me:s3cret@db",
            "postgres://me:s3cret@db:port/vault",
            "postgres://me:s3cret@db/vault?sslmode=prefer",
            "postgres://me:s3cret@db/vault?sslrootcert=ca.pem",
            "postgres://me:s3cret@db/vault?nonsense=1",
        ] {
            let toml = format!("[storage]\nurl = {text:?}");
            let sentence = Config::parse(&toml).expect_err(text);
            assert!(sentence.starts_with("line 2, column 7: "), "{sentence}");
            assert!(!sentence.contains("s3cret"), "{sentence}");
        }
    }

    #[test]
    fn a_hosts_name_is_one_that_a_chain_can_have() {
        let read = |name: &str| Config::parse(&format!("[storage.postgres]\nhost_name = {name:?}"));
        let config = read("host-1.example").expect("valid");
        let name = config.storage.postgres.host_name.expect("it was given");
        assert_eq!(name.as_str(), "host-1.example");
        for name in ["", "a b", "höst", &"h".repeat(65)] {
            let sentence = read(name).expect_err(name);
            assert!(sentence.starts_with("line 2, column 13: "), "{sentence}");
        }
    }
}
