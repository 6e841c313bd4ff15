//! An origin is scheme, host and port; all three count. The host's name is not resolved here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it is written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port in canonical form (RFC 6454): the host in lower case
/// and as ASCII (IDNA), an address in its one usual notation however it was
/// written, and the port left out when it is the scheme's own.
///
/// ```
/// use tavora_trust::origin::Origin;
///
/// let origin: Origin = "HTTPS://Bücher.example:443".parse().unwrap();
/// assert_eq!(origin.to_string(), "https://xn--bcher-kva.example");
/// assert!("https://user@example.com".parse::<Origin>().is_err());
/// assert!("https://example.com/path".parse::<Origin>().is_err());
/// ```
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    scheme: Scheme,
    host: Host<String>,
    port: u16,
}

/// Why a text is not an origin. It never repeats the text, which may hold a
/// credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The scheme is neither http nor https.
    #[error("an origin begins with http:// or https://")]
    Scheme,
    /// `user:password@` stands before the host.
    #[error("an origin has no user name and no password; put the credential in a vault")]
    UserInfo,
    /// Something follows the port.
    #[error(
        "an origin ends with the host or the port; leave out the path, the query and the fragment"
    )]
    MoreThanOrigin,
    /// The host is not a name and not an address.
    #[error("the host of an origin is a DNS name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port of an origin is a number from 1 to 65535")]
    Port,
}

impl Origin {
    /// Returns the origin of a whole URL from a configuration.
    ///
    /// # Errors
    /// The URL has another scheme, a user name, or no valid host.
    pub fn of_url(url: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = split_scheme(url)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Self::from_parts(scheme, &rest[..end])
    }

    /// Returns the origin that a request goes to.
    ///
    /// # Errors
    /// The URI is relative, or its scheme or authority is not acceptable.
    pub fn of_uri(uri: &Uri) -> Result<Self, OriginError> {
        let (scheme, _) = split_scheme(&format!("{}://", uri.scheme_str().unwrap_or_default()))?;
        let authority = uri.authority().ok_or(OriginError::Host)?;
        Self::from_parts(scheme, authority.as_str())
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The port, even if it is the scheme's default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the IP address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        }
    }

    /// The host as it is written in a URL: an IPv6 address has brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// Host and port as they are written in a URL and in the `Host` header.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn from_parts(scheme: Scheme, authority: &str) -> Result<Self, OriginError> {
        if authority.contains('@') {
            return Err(OriginError::UserInfo);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::MoreThanOrigin);
        }
        // The URL parser would silently remove these characters, or read a backslash as a slash.
        let suspicious = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if authority.is_empty() || authority.contains(suspicious) {
            return Err(OriginError::Host);
        }
        let url =
            Url::parse(&format!("{}://{authority}", scheme.as_str())).map_err(
                |error| match error {
                    url::ParseError::InvalidPort => OriginError::Port,
                    _ => OriginError::Host,
                },
            )?;
        let port = url.port_or_known_default().ok_or(OriginError::Port)?;
        if port == 0 {
            return Err(OriginError::Port);
        }
        let host = url.host().ok_or(OriginError::Host)?.to_owned();
        if let Host::Domain(name) = &host {
            // The URL parser accepts more characters. A `*` would look as if it stood for every
            // name.
            let in_dns = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if !name.bytes().all(in_dns) {
                return Err(OriginError::Host);
            }
        }
        Ok(Self { scheme, host, port })
    }
}

fn split_scheme(url: &str) -> Result<(Scheme, &str), OriginError> {
    let (scheme, rest) = url.split_once("://").ok_or(OriginError::Scheme)?;
    if scheme.eq_ignore_ascii_case("https") {
        Ok((Scheme::Https, rest))
    } else if scheme.eq_ignore_ascii_case("http") {
        Ok((Scheme::Http, rest))
    } else {
        Err(OriginError::Scheme)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, authority) = split_scheme(text)?;
        Self::from_parts(scheme, authority)
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_a_host_has_one_canonical_form() {
        for (text, canonical) in [
            ("https://example.com", "https://example.com"),
            ("HTTP://EXAMPLE.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("https://Bücher.example", "https://xn--bcher-kva.example"),
            ("http://2130706433", "http://127.0.0.1"),
            ("http://0x7f.1", "http://127.0.0.1"),
            ("http://0177.0.0.01:8080", "http://127.0.0.1:8080"),
            ("http://%31%32%37.0.0.1", "http://127.0.0.1"),
            ("http://１２７.0.0.1", "http://127.0.0.1"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]"),
        ] {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(origin.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(origin), "round trip of {canonical}");
        }
    }

    #[test]
    fn what_is_not_just_an_origin_is_refused_with_its_reason() {
        for (text, error) in [
            ("example.com", OriginError::Scheme),
            ("ftp://example.com", OriginError::Scheme),
            ("file:///etc/passwd", OriginError::Scheme),
            (" https://example.com", OriginError::Scheme),
            ("https:example.com", OriginError::Scheme),
            ("https://user@example.com", OriginError::UserInfo),
            ("https://example.com:80@inside", OriginError::UserInfo),
            ("https://example.com/", OriginError::MoreThanOrigin),
            ("https://example.com?q", OriginError::MoreThanOrigin),
            ("https://example.com#f", OriginError::MoreThanOrigin),
            ("https://example.com\\.inside", OriginError::Host),
            ("https://exa\tmple.com", OriginError::Host),
            ("https://", OriginError::Host),
            ("https://*.example.com", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://1.2.3.4.5", OriginError::Host),
            ("https://example.com:0", OriginError::Port),
            ("https://example.com:65536", OriginError::Port),
            ("https://example.com:x", OriginError::Port),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_url_and_a_request_have_an_origin() {
        let origin = Origin::of_url("https://api.example.com/v1/?q=https://other").expect("valid");
        assert_eq!(origin.to_string(), "https://api.example.com");
        assert_eq!(
            Origin::of_url("https://u:p@example.com/v1"),
            Err(OriginError::UserInfo)
        );
        let uri: Uri = "http://EXAMPLE.com:8080/path".parse().expect("valid");
        assert_eq!(
            Origin::of_uri(&uri).expect("valid").to_string(),
            "http://example.com:8080"
        );
        let uri: Uri = "http://user@example.com/".parse().expect("valid");
        assert_eq!(Origin::of_uri(&uri), Err(OriginError::UserInfo));
        let uri: Uri = "/relative".parse().expect("valid");
        assert_eq!(Origin::of_uri(&uri), Err(OriginError::Scheme));
    }
}
