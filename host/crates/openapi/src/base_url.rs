//! The base URL of an API: its origin, and the path that every request's path begins with.

use std::fmt;

use serde::Deserialize;
use tavora_trust::origin::{Origin, OriginError, Scheme};

/// An `https` URL with an origin and a path and nothing else. On loopback `http` is allowed, too.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl {
    origin: Origin,
    /// The path without a slash at its end.
    path: String,
}

/// The reason why a text is not a base URL. No message repeats the text, which could hold a
/// credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// The URL has no origin, or names a user.
    #[error("base_url: {0}")]
    Origin(#[from] OriginError),
    /// The URL has a query or a fragment.
    #[error(
        "base_url has no query (?) and no fragment (#); a credential belongs in a vault, and `credential` names it"
    )]
    Query,
    /// The URL is plain HTTP to a host that is not loopback.
    #[error("base_url begins with https://; http:// is for loopback, as http://127.0.0.1:8080")]
    Plain,
    /// The path has a part that some servers read in another way.
    #[error(
        "the path of base_url has plain segments: none is empty, . or .., and none has a percent sign, a backslash or a blank"
    )]
    Path,
}

impl BaseUrl {
    /// Returns the origin that the API's requests go to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = BaseUrlError;

    fn try_from(text: String) -> Result<Self, BaseUrlError> {
        let origin = Origin::of_url(&text)?;
        if text.contains(['?', '#']) {
            return Err(BaseUrlError::Query);
        }
        let is_loopback = match origin.address() {
            Some(address) => address.is_loopback(),
            None => origin.host() == "localhost" || origin.host().ends_with(".localhost"),
        };
        if origin.scheme() == Scheme::Http && !is_loopback {
            return Err(BaseUrlError::Plain);
        }
        let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && !segment.contains(['%', '\\'])
                && segment.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match path.is_empty() || path.split('/').skip(1).all(is_plain) {
            true => Ok(Self {
                origin,
                path: path.to_owned(),
            }),
            false => Err(BaseUrlError::Path),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_url(text: &str) -> Result<String, String> {
        let parsed = BaseUrl::try_from(text.to_owned());
        parsed
            .map(|url| url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_base_url_is_an_origin_and_the_start_of_a_path() {
        for (text, shown) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://API.example.com:443/", "https://api.example.com"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(base_url(text).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn what_is_more_or_less_is_refused_and_not_repeated() {
        for (text, message) in [
            ("api.example.com", "an origin begins with"),
            ("ftp://api.example.com", "an origin begins with"),
            (
                "https://me:hunter2@api.example.com",
                "no user name and no password",
            ),
            ("https://api.example.com?key=hunter2", "no query (?)"),
            ("https://api.example.com/#hunter2", "no fragment (#)"),
            ("http://api.example.com/hunter2", "http:// is for loopback"),
            ("http://10.1.2.3/hunter2", "http:// is for loopback"),
            ("https://api.example.com/../hunter2", "plain segments"),
            ("https://api.example.com//hunter2", "plain segments"),
            ("https://api.example.com/hunter2//", "plain segments"),
            ("https://api.example.com/%2e%2e/hunter2", "plain segments"),
            ("https://api.example.com/a b/hunter2", "plain segments"),
            ("https://api.example.com/a\\hunter2", "plain segments"),
        ] {
            let error = base_url(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
