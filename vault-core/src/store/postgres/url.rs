//! `postgres://…` URLs: where a database is, for which user, and whether TLS guards the way there.
//!
//! A URL is never shown with its password. TLS is demanded unless every host is this machine or the
//! URL says `sslmode=disable`. The server's certificate and name are then always verified.
//! Elsewhere `require` means TLS with anybody, which protects from no attacker.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use tokio_postgres::config::{Config, Host, SslMode};
use zeroize::Zeroizing;

/// The address of a PostgreSQL database.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    // The configuration is boxed because it is large and moves with errors.
    config: Box<Config>,
    root_certificate: Option<PathBuf>,
    shown: String,
}

/// The text is no URL of a PostgreSQL database. The error never shows text from where a password
/// could be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPostgresUrl {
    /// The text begins with another scheme.
    #[error("a URL of PostgreSQL begins with postgres://")]
    Scheme,
    /// The value of `sslmode` is unknown.
    #[error(
        "`sslmode` is `disable`, or `require`, `verify-ca` or `verify-full`, which all verify the server"
    )]
    SslMode,
    /// The URL names no host.
    #[error("the URL names no host: postgres://USER@HOST:PORT/DATABASE")]
    Host,
    /// The URL names no user.
    #[error("the URL names no user: postgres://USER@HOST:PORT/DATABASE")]
    User,
    /// The URL names no database.
    #[error("the URL names no database: postgres://USER@HOST:PORT/DATABASE")]
    Database,
    /// A parameter is unknown, or its value is.
    #[error("the URL has an unknown or wrong parameter: {parameter}")]
    Parameter {
        /// The name of the parameter, or where it stands.
        parameter: String,
    },
    /// The URL is malformed in another way.
    #[error(
        "the URL cannot be read; it is postgres://USER@HOST:PORT/DATABASE, with %40 for an @ and %3F for a ? in a user or password"
    )]
    Unreadable,
}

impl PostgresUrl {
    /// Sets the password in place of one in the URL.
    pub fn set_password(&mut self, password: &Zeroizing<String>) {
        self.config.password(password.as_bytes());
    }

    /// Whether the URL holds a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether connections without TLS are refused.
    pub fn demands_tls(&self) -> bool {
        self.config.get_ssl_mode() != SslMode::Disable
    }

    /// The PEM file of the authorities to trust (`sslrootcert`).
    pub fn root_certificate(&self) -> Option<&Path> {
        self.root_certificate.as_deref()
    }

    /// The configuration of a connection.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl FromStr for PostgresUrl {
    type Err = InvalidPostgresUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPostgresUrl> {
        let body = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(InvalidPostgresUrl::Scheme)?;
        let (place, query) = body.split_once('?').unwrap_or((body, ""));
        // The parser splits at the first @. An @ that is not encoded, or a ? before it, would move
        // part of the password into a part of the URL that is shown.
        if body.matches('@').count() > 1 || query.contains('@') {
            return Err(InvalidPostgresUrl::Unreadable);
        }
        let (mut sslmode, mut root_certificate) = (None, None);
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                return Err(InvalidPostgresUrl::Unreadable);
            }
            match name {
                "sslmode" => sslmode = Some(value),
                "sslrootcert" => root_certificate = Some(decoded(value)?),
                _ => others.push(pair),
            }
        }
        let rebuilt = Zeroizing::new(format!("postgres://{place}?{}", others.join("&")));
        let mut config = rebuilt.parse::<Config>().map_err(unreadable)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(InvalidPostgresUrl::Host);
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(InvalidPostgresUrl::User);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(InvalidPostgresUrl::Database);
        }
        config.ssl_mode(match sslmode {
            None if is_this_machine(&config) => SslMode::Disable,
            Some("disable") => SslMode::Disable,
            None | Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => return Err(InvalidPostgresUrl::SslMode),
        });
        if config.get_application_name().is_none() {
            config.application_name("tavora-host");
        }
        Ok(Self {
            config: Box::new(config),
            root_certificate: root_certificate.map(PathBuf::from),
            shown: redacted(place, query),
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The URL without its password.
fn redacted(place: &str, query: &str) -> String {
    let (user, host) = place
        .rsplit_once('@')
        .map_or(("", place), |(user, host)| (user, host));
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    let at = if user.is_empty() { "" } else { "@" };
    let query: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("password="))
        .collect();
    let question = if query.is_empty() { "" } else { "?" };
    format!("postgres://{user}{at}{host}{question}{}", query.join("&"))
}

fn decoded(value: &str) -> Result<String, InvalidPostgresUrl> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    Ok(decoded
        .map_err(|_| InvalidPostgresUrl::Unreadable)?
        .into_owned())
}

/// The parser's message names a parameter but never its value. If it took a value for a name,
/// nothing is shown.
fn unreadable(error: tokio_postgres::Error) -> InvalidPostgresUrl {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    match cause.as_deref().and_then(|cause| {
        cause
            .strip_prefix("invalid value for option `")
            .or_else(|| cause.strip_prefix("unknown option `"))
    }) {
        Some(name) => InvalidPostgresUrl::Parameter {
            parameter: name.trim_end_matches('`').to_owned(),
        },
        None => InvalidPostgresUrl::Unreadable,
    }
}

fn is_this_machine(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PostgresUrl, InvalidPostgresUrl> {
        text.parse()
    }

    #[test]
    fn it_is_shown_without_its_password() {
        for text in [
            "postgres://me:s3cret@db:5433/vault",
            "postgresql://me:s3cret@db:5433/vault?application_name=x",
            "postgres://me:s3%40cret@db/vault",
            "postgres://me:s3cret:s3cret@db/vault",
            "postgres://me@db/vault?password=s3cret&connect_timeout=3",
        ] {
            let url = parse(text).unwrap();
            assert!(url.has_password());
            for shown in [
                url.to_string(),
                format!("{url:?}"),
                format!("{:?}", Some(&url)),
            ] {
                assert!(!shown.contains("s3"), "{shown}");
                assert!(shown.contains("me@db"), "{shown}");
            }
        }
        let url = parse("postgres://me@db/vault?connect_timeout=3").unwrap();
        assert!(!url.has_password());
        assert_eq!(url.to_string(), "postgres://me@db/vault?connect_timeout=3");
    }

    #[test]
    fn tls_is_demanded_of_other_machines() {
        for (text, demanded) in [
            ("postgres://me@localhost/vault", false),
            ("postgres://me@127.0.0.1:1/vault", false),
            ("postgres://me@[::1]/vault", false),
            ("postgres://me@%2Frun%2Fpostgresql/vault", false),
            ("postgres://me@localhost/vault?sslmode=require", true),
            ("postgres://me@db/vault", true),
            ("postgres://me@db/vault?sslmode=disable", false),
            ("postgres://me@localhost,db/vault", true),
            ("postgres://me@localhost/vault?hostaddr=192.0.2.1", true),
        ] {
            assert_eq!(parse(text).unwrap().demands_tls(), demanded, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_a_password_is_not() {
        use InvalidPostgresUrl as Invalid;
        let parameter = |name: &str| Invalid::Parameter {
            parameter: name.to_owned(),
        };
        for (text, expected) in [
            ("postgre://me:s3cret@db/vault", Invalid::Scheme),
            ("postgres://me:s3cret@/vault", Invalid::Host),
            ("postgres://db/vault", Invalid::User),
            ("postgres://me:s3cret@db", Invalid::Database),
            ("postgres://me:s3cret@db/", Invalid::Database),
            (
                "postgres://me:s3cret@db/vault?sslmode=prefer",
                Invalid::SslMode,
            ),
            (
                "postgres://me:s3cret@db/vault?timeout=3",
                parameter("timeout"),
            ),
            (
                "postgres://me:s3cret@db/vault?connect_timeout=s3cret",
                parameter("connect_timeout"),
            ),
            ("postgres://me:s3cret@db:s3cret/vault", parameter("port")),
        ] {
            let refusal = parse(text).unwrap_err();
            assert_eq!(refusal, expected, "{text}");
            assert!(!refusal.to_string().contains("s3cret"));
        }
        // Text that is not encoded, or stands where it need not, could be taken for another part of
        // the URL.
        for text in [
            "postgres://me:s3@cret@db/vault",
            "postgres://me:s3?cret@db/vault",
            "postgres://me:s3?cret@db/vault?connect_timeout=3",
            "postgres://me@db/vault?pass%77ord=s3cret",
            "postgres://me@db/vault?application_name=s3@cret",
        ] {
            assert_eq!(parse(text).unwrap_err(), Invalid::Unreadable, "{text}");
        }
    }

    #[test]
    fn a_root_certificate_is_a_path() {
        let url = parse("postgres://me@db/vault?sslrootcert=%2Fetc%2Fa%20b.pem").unwrap();
        assert_eq!(url.root_certificate(), Some(Path::new("/etc/a b.pem")));
    }
}
