//! The names that the host answers to (`[server] hosts`): a web page whose name is made to lead here (DNS rebinding)
//! names its own in `Host`, and is sent away before anything is looked at.
//!
//! An address is always answered, since no name server says where it leads, and so is `localhost`, which browsers
//! resolve themselves. Without a list, a host on loopback answers to nothing else, and one on the network to every name.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::listener::ListenAddress;
use crate::api::ApiError;

/// An entry of `[server] hosts`: `vault.example.com`, `vault.example.com:8443`, `*.example.com`, or `*` for every name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName {
    /// In lower case. Of a wildcard, what follows the star: nothing, or a dot and a name.
    name: String,
    is_wildcard: bool,
    /// Where browsers find the page, if not at the usual port of their scheme.
    port: Option<u16>,
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || {
            format!(
                "{text:?} is not the name of a host; write one like \"vault.example.com\", \"vault.example.com:8443\" or \"*.example.com\""
            )
        };
        let (is_wildcard, rest) = match text.strip_prefix('*') {
            Some("") => {
                return Ok(Self {
                    name: String::new(),
                    is_wildcard: true,
                    port: None,
                });
            }
            Some(rest) => (true, rest.strip_prefix('.').ok_or_else(refused)?),
            None => (false, &*text),
        };
        let authority: Authority = rest.parse().map_err(|_| refused())?;
        let name = plain(host_of(&authority).ok_or_else(refused)?);
        let is_name = name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "-_.[]:".contains(it));
        if name.is_empty() || !is_name {
            return Err(refused());
        }
        Ok(Self {
            name: if is_wildcard {
                format!(".{name}")
            } else {
                name
            },
            is_wildcard,
            port: authority.port_u16(),
        })
    }
}

impl HostName {
    fn is(&self, name: &str) -> bool {
        match self.is_wildcard {
            true => name.ends_with(&self.name) && name != self.name,
            false => name == self.name,
        }
    }
}

/// All names that a host answers to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostNames(Arc<Names>);

#[derive(Debug)]
struct Names {
    listed: Vec<HostName>,
    takes_any: bool,
}

impl HostNames {
    /// Those that are `listed` in the configuration, for where it listens.
    pub fn new(listed: Vec<HostName>, listen: &ListenAddress) -> Self {
        Self(Arc::new(Names {
            takes_any: listed.is_empty() && !listen.ip().to_canonical().is_loopback(),
            listed,
        }))
    }

    /// Whether a request for this name is one for this host.
    fn answers_to(&self, host: &str) -> bool {
        let name = plain(host);
        self.0.takes_any
            || is_address(&name)
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.0.listed.iter().any(|listed| listed.is(&name))
    }

    /// Whether pages at this host and port, of that scheme, are this host's. Only names that are listed in full say so:
    /// a neighbour under the same wildcard is another site, and so is another port.
    pub fn has_page_at(&self, scheme: &str, authority: &str) -> bool {
        let usual = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return false,
        };
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let Some(name) = host_of(&authority).map(plain) else {
            return false;
        };
        let port = authority.port_u16().unwrap_or(usual);
        let mut listed = self.0.listed.iter().filter(|it| !it.is_wildcard);
        listed.any(|it| it.is(&name) && it.port.unwrap_or(usual) == port)
    }
}

/// A middleware that lets a request pass if it is for this host.
pub async fn check_host(State(names): State<HostNames>, request: Request, next: Next) -> Response {
    match refusal(&names, request.uri(), request.headers()) {
        Some(refusal) => refusal.for_path(request.uri()).into_response(),
        None => next.run(request).await,
    }
}

/// A request may name the host in its target too, as HTTP/2 does; one that names none came from no browser.
fn refusal(names: &HostNames, uri: &Uri, headers: &HeaderMap) -> Option<ApiError> {
    let target = uri.authority().cloned().map(Ok);
    let named = headers
        .get_all(HOST)
        .into_iter()
        .filter(|it| !it.is_empty());
    let named = named.map(|it| Authority::try_from(it.as_bytes()));
    for authority in target.into_iter().chain(named) {
        let Some(host) = authority.as_ref().ok().and_then(host_of) else {
            return Some(ApiError::bad_request(
                "invalid_host",
                "the header Host is not the name of a host with or without a port; correct it",
            ));
        };
        if !names.answers_to(host) {
            tracing::warn!(
                name = ?host,
                "a request for a name that is not in [server] hosts was refused"
            );
            return Some(ApiError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                format!(
                    "this host does not answer to the name {host:?}; its operator lists the names that it answers to in [server] hosts"
                ),
            ));
        }
    }
    None
}

/// The name or address, if there is nothing beside it but a port.
fn host_of(authority: &Authority) -> Option<&str> {
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host)?;
    let port = rest.strip_prefix(':').unwrap_or(rest);
    port.bytes().all(|it| it.is_ascii_digit()).then_some(host)
}

/// In lower case, without the dot of a name that is complete.
fn plain(host: &str) -> String {
    let name = host.to_ascii_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

fn is_address(name: &str) -> bool {
    let in_brackets = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listen: &str, hosts: &[&str]) -> HostNames {
        let hosts = hosts.iter().map(|it| (*it).to_owned());
        let listed = hosts.map(|it| HostName::try_from(it).expect("a name"));
        HostNames::new(listed.collect(), &listen.parse().expect("an address"))
    }

    /// The status of a request with this `Host`, 200 for one that passes.
    fn status(names: &HostNames, host: &str) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a header's value"));
        let refusal = refusal(names, &Uri::from_static("/metrics"), &headers);
        refusal.map_or(200, |it| it.status().as_u16())
    }

    #[test]
    fn on_loopback_only_names_of_loopback_and_addresses_are_answered() {
        let names = names("127.0.0.1:8080", &[]);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "vault.localhost:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "10.0.0.7",
            "",
        ] {
            assert_eq!(status(&names, host), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "[::1].evil.example",
        ] {
            assert!([400, 421].contains(&status(&names, host)), "{host}");
        }
        assert_eq!(status(&names, "evil.example"), 421);
        assert_eq!(status(&names, "a b"), 400);
    }

    #[test]
    fn on_the_network_every_name_is_answered_until_some_are_listed() {
        assert_eq!(status(&names("0.0.0.0:80", &[]), "vault.example"), 200);
        for listen in ["0.0.0.0:80", "[::]:80", "127.0.0.1:80"] {
            let names = names(
                listen,
                &["vault.example", "*.inner.example", "a.example:8443"],
            );
            for (host, expected) in [
                ("vault.example", 200),
                ("Vault.Example.:81", 200),
                ("a.example", 200),
                ("b.inner.example", 200),
                ("c.b.inner.example", 200),
                ("10.1.2.3:80", 200),
                ("localhost", 200),
                ("inner.example", 421),
                ("evilinner.example", 421),
                ("x.vault.example", 421),
                ("example", 421),
            ] {
                assert_eq!(status(&names, host), expected, "{listen} {host}");
            }
        }
        assert_eq!(status(&names("127.0.0.1:80", &["*"]), "any.example"), 200);
    }

    #[test]
    fn the_name_in_the_target_counts_as_well() {
        let names = names("127.0.0.1:8080", &[]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().expect("a value"));
        let target = Uri::from_static("http://evil.example/metrics");
        assert!(refusal(&names, &target, &headers).is_some());
        assert!(refusal(&names, &target, &HeaderMap::new()).is_some());
        let target = Uri::from_static("https://localhost/metrics");
        assert!(refusal(&names, &target, &HeaderMap::new()).is_none());
    }

    #[test]
    fn pages_are_this_hosts_at_names_that_are_listed_in_full() {
        let names = names(
            "0.0.0.0:80",
            &["vault.example", "*.inner.example", "a.example:8443", "*"],
        );
        for (scheme, authority, expected) in [
            ("https", "vault.example", true),
            ("https", "VAULT.example:443", true),
            ("http", "vault.example", true),
            ("https", "a.example:8443", true),
            ("https", "vault.example:8443", false),
            ("https", "a.example", false),
            ("https", "b.inner.example", false),
            ("https", "evil.example", false),
            ("https", "vault.example.evil.example", false),
            ("chrome-extension", "vault.example", false),
            ("https", "vault.example/x", false),
        ] {
            let found = names.has_page_at(scheme, authority);
            assert_eq!(found, expected, "{scheme}://{authority}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_examples() {
        for text in [
            "",
            "https://vault.example",
            "a/b",
            "*example.com",
            "a b",
            "u@a",
        ] {
            let error = HostName::try_from(text.to_owned()).expect_err(text);
            assert!(error.contains("vault.example.com:8443"), "{error}");
        }
    }
}
