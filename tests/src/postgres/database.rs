//! A database of a test: its URLs for hosts, and a way to look into it and to damage it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tavora_host::config::Config;
use tavora_host::storage::{self, StorageError};
use vault_core::PostgresStore;

/// The user of the hosts.
pub const USER: &str = "tavora";

/// The password of the hosts. It must appear nowhere else.
pub const PASSWORD: &str = "of the tests/7f3d:9ab2@100%";

/// The same password, encoded for a URL.
pub const PASSWORD_IN_URL: &str = "of%20the%20tests%2F7f3d%3A9ab2%40100%25";

pub(super) const ADMIN: &str = "admin";
pub(super) const ADMIN_PASSWORD: &str = "of-the-tests-superuser";

/// A database of a cluster.
#[derive(Clone, Debug)]
pub struct Database {
    /// The name in the cluster.
    pub name: String,
    pub(super) address: SocketAddr,
    pub(super) psql: PathBuf,
}

impl Database {
    /// The URL for hosts, with the password.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The store on this database, as the host of this name opens it.
    ///
    /// # Errors
    /// The database does not open.
    pub async fn store(&self, host: &str) -> Result<PostgresStore, StorageError> {
        self.store_at(self.address, host).await
    }

    /// The store on this database, reached through another address.
    ///
    /// # Errors
    /// The database does not open.
    pub async fn store_at(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> Result<PostgresStore, StorageError> {
        let settings = format!("host_name = {host:?}");
        self.store_with(address, &settings).await
    }

    /// The store on this database, with these lines of `[storage.postgres]`.
    ///
    /// # Errors
    /// The database does not open.
    pub async fn store_with(
        &self,
        address: SocketAddr,
        settings: &str,
    ) -> Result<PostgresStore, StorageError> {
        let url = self.url_at(address).parse().expect("it is a URL");
        let config = Config::parse(&format!("[storage.postgres]\n{settings}"));
        let config = config.expect("the settings are valid");
        storage::open_postgres(url, None, &config.storage.postgres, None).await
    }

    /// The URL for hosts through another address, for example a relay's.
    pub fn url_at(&self, address: SocketAddr) -> String {
        self.url_of(USER, PASSWORD_IN_URL, address)
    }

    /// Runs SQL as a superuser. The answer has a line per row, with `|` between columns.
    ///
    /// # Panics
    /// The SQL fails.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        self.try_query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL as a superuser. The error is PostgreSQL's message.
    pub fn try_query(&self, sql: &str) -> Result<String, String> {
        psql(&self.psql, &self.admin_url(), sql)
    }

    /// Runs SQL in PostgreSQL's own client with this URL. The error is its message.
    pub fn query_at(&self, url: &str, sql: &str) -> Result<String, String> {
        psql(&self.psql, url, sql)
    }

    pub(super) fn admin_url(&self) -> String {
        self.url_of(ADMIN, ADMIN_PASSWORD, self.address)
    }

    fn url_of(&self, user: &str, password: &str, address: SocketAddr) -> String {
        format!("postgres://{user}:{password}@{address}/{}", self.name)
    }
}

fn psql(program: &Path, url: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command
        .env_clear()
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
        .args(["--dbname", url, "--command", sql])
        .stdin(Stdio::null());
    let ended = command.output().expect("psql starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match ended.status.success() {
        true => Ok(text(&ended.stdout)),
        false => Err(text(&ended.stderr)),
    }
}
