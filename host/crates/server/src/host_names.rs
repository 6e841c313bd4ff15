//! The names that the host answers to (`[server] hosts`). A web page whose name is made to resolve
//! to this host (DNS rebinding) sends its own name in `Host`, and is refused before anything else
//! of the request is examined.
//!
//! An IP address is always answered, since no name server can redirect it, and so is `localhost`,
//! which browsers resolve themselves. Without a list, a host on loopback answers to nothing else,
//! and a host on the network answers to every name.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::http::uri::Authority;
use schemars::JsonSchema;
use serde::Deserialize;

use super::listener::ListenAddress;

/// An entry of `[server] hosts`: `vault.example.com`, `vault.example.com:8443`, `*.example.com`, or
/// `*` for every name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct HostName {
    /// In lower case. For a wildcard this is the part after the star: nothing, or a dot and a name.
    name: String,
    is_wildcard: bool,
    /// The port at which browsers find the page, if it is not the default port of the scheme.
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
    /// Builds the names from the entries `listed` in the configuration. `listen` decides what an
    /// empty list means.
    pub fn new(listed: Vec<HostName>, listen: &ListenAddress) -> Self {
        Self(Arc::new(Names {
            takes_any: listed.is_empty() && !listen.ip().to_canonical().is_loopback(),
            listed,
        }))
    }

    /// Whether a request for this name is meant for this host.
    pub fn answers_to(&self, host: &str) -> bool {
        let name = plain(host);
        self.0.takes_any
            || is_address(&name)
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.0.listed.iter().any(|listed| listed.is(&name))
    }

    /// Whether a page at this scheme, host and port is this host's own. Only names that are listed
    /// in full count: another name under the same wildcard is another site, and so is another port.
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

/// Returns the host of an authority that has only a host and a port.
pub fn host_of(authority: &Authority) -> Option<&str> {
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host)?;
    let port = rest.strip_prefix(':').unwrap_or(rest);
    port.bytes().all(|it| it.is_ascii_digit()).then_some(host)
}

/// Returns the name in lower case, without the trailing dot of a fully qualified name.
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
