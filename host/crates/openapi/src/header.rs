//! Checks headers: those that an entry may fix, and those that an agent or a document may not set.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, de};
use tavora_trust::slot::Slot;

/// Headers that belong to the credential, to the connection or to the routing of a request. A
/// credential in `authorization` or `cookie` would not be in a vault. The other headers would let
/// an agent choose the server, the method or the path.
const OF_OTHERS: [&str; 26] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// The reason why a header cannot be declared. No message repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The text is not the name of a header.
    #[error("{0:?} is not the name of a header")]
    Name(String),
    /// The header belongs to the credential or the connection, or chooses the server, the method or
    /// the path.
    #[error(
        "the header {0} cannot be declared: it belongs to the credential, to the connection, or chooses the server, the method or the path"
    )]
    OfOthers(String),
    /// The header is the slot of the credential.
    #[error("the header {0} carries the credential; leave it out of headers and agent_headers")]
    Slot(String),
    /// The text cannot be the value of a header.
    #[error("the value of the header {0} has visible ASCII characters and spaces alone")]
    Value(String),
    /// The header has a fixed value, and an agent may set it.
    #[error("the header {0} is in headers and in agent_headers; leave it in one of them")]
    Twice(String),
}

/// The headers that every request of an API has, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixedHeaders(BTreeMap<String, String>);

/// The name of a header that an agent may set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AgentHeader(String);

impl FixedHeaders {
    /// Checks headers and puts their names in lower case.
    ///
    /// # Errors
    /// Fails if one of them cannot be declared.
    pub fn new(headers: BTreeMap<String, String>) -> Result<Self, HeaderError> {
        let mut checked = BTreeMap::new();
        for (name, value) in headers {
            let name = declared(&name)?;
            let is_text = value.bytes().all(|it| it == b' ' || it.is_ascii_graphic());
            if !is_text || HeaderValue::from_str(&value).is_err() {
                return Err(HeaderError::Value(name));
            }
            checked.insert(name, value);
        }
        Ok(Self(checked))
    }

    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for FixedHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let headers = BTreeMap::deserialize(deserializer)?;
        Self::new(headers).map_err(de::Error::custom)
    }
}

impl AgentHeader {
    /// Returns the name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AgentHeader {
    type Error = HeaderError;

    fn try_from(name: String) -> Result<Self, HeaderError> {
        declared(&name).map(Self)
    }
}

/// Returns the name of a header that can be declared, in lower case.
pub(crate) fn declared(name: &str) -> Result<String, HeaderError> {
    let shown = || name.chars().take(64).collect::<String>();
    let header = HeaderName::try_from(name).map_err(|_| HeaderError::Name(shown()))?;
    let text = header.as_str();
    let is_of_others = OF_OTHERS.contains(&text)
        || ["proxy-", "x-forwarded-"]
            .iter()
            .any(|start| text.starts_with(start));
    match is_of_others {
        true => Err(HeaderError::OfOthers(shown())),
        false => Ok(text.to_owned()),
    }
}

/// Checks that no header is declared twice and that none is the credential's.
pub(crate) fn check_together(
    fixed: &FixedHeaders,
    of_agents: &[AgentHeader],
    slot: Option<&Slot>,
) -> Result<(), HeaderError> {
    let names = fixed.0.keys().map(String::as_str);
    let names = names.chain(of_agents.iter().map(AgentHeader::as_str));
    for name in names {
        if is_slot(name, slot) {
            return Err(HeaderError::Slot(name.to_owned()));
        }
    }
    match of_agents
        .iter()
        .find(|it| fixed.0.contains_key(it.as_str()))
    {
        Some(twice) => Err(HeaderError::Twice(twice.as_str().to_owned())),
        None => Ok(()),
    }
}

/// Whether the credential stands in this header.
pub(crate) fn is_slot(name: &str, slot: Option<&Slot>) -> bool {
    matches!(slot, Some(Slot::Header { name: own, .. }) if own.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_who_asks_or_whom_cannot_be_declared() {
        for name in [
            "Authorization",
            "Cookie",
            "HOST",
            "X-Forwarded-For",
            "X-Forwarded-Anything",
            "Forwarded",
            "Proxy-Authorization",
            "Content-Length",
            "Transfer-Encoding",
            "X-HTTP-Method-Override",
            "X-Original-URL",
            "Accept-Encoding",
        ] {
            let error = AgentHeader::try_from(name.to_owned()).expect_err(name);
            assert!(error.to_string().contains("cannot be declared"), "{error}");
            let fixed = FixedHeaders::new([(name.to_owned(), "x".to_owned())].into());
            assert!(fixed.is_err(), "{name}");
        }
        for name in ["", "a b", "a:", "a\r\nb", "é"] {
            let error = AgentHeader::try_from(name.to_owned()).expect_err(name);
            assert!(error.to_string().contains("is not the name"), "{error}");
        }
        for name in ["Accept", "If-Match", "Idempotency-Key", "Notion-Version"] {
            assert!(AgentHeader::try_from(name.to_owned()).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_value_that_would_be_more_is_refused_and_not_repeated() {
        for value in ["hunter2\r\nHost: b", "hunter2\n", "hunter2\0", "hunter2 é"] {
            let fixed = FixedHeaders::new([("a".to_owned(), value.to_owned())].into());
            let error = fixed.expect_err(value).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_header_is_declared_once_and_is_not_the_credentials() {
        let fixed = FixedHeaders::new([("X-Key".to_owned(), "1".to_owned())].into());
        let fixed = fixed.expect("valid");
        let own = [AgentHeader("x-key".to_owned())];
        let twice = check_together(&fixed, &own, None).expect_err("twice");
        assert!(matches!(twice, HeaderError::Twice(_)));
        let slot = Slot::header("X-Key", None).expect("valid");
        for (fixed, own) in [(&fixed, &[][..]), (&FixedHeaders::default(), &own)] {
            let error = check_together(fixed, own, Some(&slot)).expect_err("the slot");
            assert!(matches!(error, HeaderError::Slot(_)));
        }
    }
}
