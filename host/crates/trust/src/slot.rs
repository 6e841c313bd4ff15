//! A slot: the one place of a request in which a credential may stand.
//!
//! The type only names the place. Egress finds it in a request and writes the credential there.

use std::fmt;

use http::{HeaderName, HeaderValue};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Limits the prefix of a header slot, in bytes.
pub const MAX_PREFIX_BYTES: usize = 64;
/// Limits the name of a parameter, in bytes.
pub const MAX_PARAMETER_BYTES: usize = 64;

/// The forms of a slot, as messages list them.
pub const ALLOWED: &str = "\"bearer\", \"basic\", { header = \"NAME\" }, { header = \"NAME\", prefix = \"TEXT\" } or { query = \"NAME\" }";

/// The place of a credential in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `Authorization: Bearer X`.
    Bearer,
    /// The user name or the password inside `Authorization: Basic`.
    Basic,
    /// The whole value of a header, or the part after a fixed prefix.
    Header {
        /// The name of the header.
        name: HeaderName,
        /// The text before the credential, with the space at its end.
        prefix: Option<String>,
    },
    /// The value of one parameter of the query. Servers log URLs, so a header is better.
    Query {
        /// The name of the parameter. It has no character that a URL would encode.
        name: String,
    },
}

/// The reason why a text is not a slot. No message repeats the text, which could be a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The word or the table is not known.
    #[error("a slot is one of {ALLOWED}")]
    Unknown,
    /// The table names two places.
    #[error("a slot is one place, either `header` or `query`; a slot is one of {ALLOWED}")]
    Two,
    /// The table has a key twice.
    #[error("a slot has each of its keys once")]
    Twice,
    /// The text is not the name of a header.
    #[error("the header of a slot is the name of a header, as in {{ header = \"X-Api-Key\" }}")]
    Header,
    /// The host or the protocol writes this header.
    #[error("the header of a slot is none that belongs to the connection, as Host does")]
    HeaderOfConnection,
    /// The table has a prefix but no header.
    #[error(
        "the prefix of a slot belongs to a header, as in {{ header = \"Authorization\", prefix = \"Token \" }}"
    )]
    PrefixAlone,
    /// The prefix cannot stand in a header.
    #[error(
        "the prefix of a slot is 1 to {MAX_PREFIX_BYTES} visible ASCII characters and spaces, and begins with no space"
    )]
    Prefix,
    /// The text is not the name of a parameter.
    #[error(
        "the query of a slot is the name of a parameter: 1 to {MAX_PARAMETER_BYTES} characters of `A-Z a-z 0-9 - . _ ~`"
    )]
    Query,
}

impl Slot {
    /// Returns the slot for the whole value of a header, or for the part after `prefix`.
    ///
    /// # Errors
    /// Fails if the name or the prefix cannot be used.
    pub fn header(name: &str, prefix: Option<String>) -> Result<Self, SlotError> {
        let name = HeaderName::try_from(name).map_err(|_| SlotError::Header)?;
        if OF_THE_CONNECTION.contains(&name.as_str()) {
            return Err(SlotError::HeaderOfConnection);
        }
        if prefix.as_deref().is_some_and(|prefix| !is_prefix(prefix)) {
            return Err(SlotError::Prefix);
        }
        Ok(Self::Header { name, prefix })
    }

    /// Returns the slot for the value of one parameter of the query.
    ///
    /// # Errors
    /// Fails if the name is too long, or has characters that a URL would encode.
    pub fn query(name: &str) -> Result<Self, SlotError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match (1..=MAX_PARAMETER_BYTES).contains(&name.len()) && name.bytes().all(is_plain) {
            true => Ok(Self::Query {
                name: name.to_owned(),
            }),
            false => Err(SlotError::Query),
        }
    }

    /// Returns the slot that one word names.
    ///
    /// # Errors
    /// Fails if no slot has this name, or if the slot needs more than its name.
    pub fn of_word(word: &str) -> Result<Self, SlotError> {
        match word {
            "bearer" => Ok(Self::Bearer),
            "basic" => Ok(Self::Basic),
            _ => Err(SlotError::Unknown),
        }
    }
}

/// Headers that frame the message or choose its server. A credential in one of them would be
/// misread.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_prefix(prefix: &str) -> bool {
    (1..=MAX_PREFIX_BYTES).contains(&prefix.len())
        && !prefix.starts_with(' ')
        && prefix
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && HeaderValue::from_str(prefix).is_ok()
}

/// Writes the slot in the form in which people read it, in lists and on the page.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Basic => f.write_str("basic"),
            Self::Header { name, prefix: None } => write!(f, "header {name}"),
            Self::Header {
                name,
                prefix: Some(prefix),
            } => write!(f, "header {name} after {prefix:?}"),
            Self::Query { name } => write!(f, "query {name}"),
        }
    }
}

impl Serialize for Slot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bearer => serializer.serialize_str("bearer"),
            Self::Basic => serializer.serialize_str("basic"),
            Self::Header { name, prefix } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("header", name.as_str())?;
                if let Some(prefix) = prefix {
                    map.serialize_entry("prefix", prefix)?;
                }
                map.end()
            }
            Self::Query { name } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("query", name)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SlotVisitor)
    }
}

struct SlotVisitor;

impl<'de> Visitor<'de> for SlotVisitor {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a slot, one of {ALLOWED}")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Slot, E> {
        Slot::of_word(word).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Slot, A::Error> {
        let (mut header, mut prefix, mut query) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let place = match key.as_str() {
                "header" => &mut header,
                "prefix" => &mut prefix,
                "query" => &mut query,
                _ => return Err(de::Error::custom(SlotError::Unknown)),
            };
            if place.replace(map.next_value::<String>()?).is_some() {
                return Err(de::Error::custom(SlotError::Twice));
            }
        }
        let slot = match (header, prefix, query) {
            (Some(name), prefix, None) => Slot::header(&name, prefix),
            (None, None, Some(name)) => Slot::query(&name),
            (Some(_), _, Some(_)) => Err(SlotError::Two),
            (None, Some(_), _) => Err(SlotError::PrefixAlone),
            (None, None, None) => Err(SlotError::Unknown),
        };
        slot.map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Line {
        slot: Slot,
    }

    fn of_toml(text: &str) -> Result<Slot, String> {
        toml::from_str::<Line>(&format!("slot = {text}"))
            .map(|line| line.slot)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_slot_has_one_form_in_toml_and_one_in_json() {
        for (toml, json, shown) in [
            ("\"bearer\"", r#""bearer""#, "bearer"),
            ("\"basic\"", r#""basic""#, "basic"),
            (
                "{ header = \"X-Subscription-Token\" }",
                r#"{"header":"x-subscription-token"}"#,
                "header x-subscription-token",
            ),
            (
                "{ header = \"Authorization\", prefix = \"Token \" }",
                r#"{"header":"authorization","prefix":"Token "}"#,
                "header authorization after \"Token \"",
            ),
            ("{ query = \"key\" }", r#"{"query":"key"}"#, "query key"),
        ] {
            let slot = of_toml(toml).expect(toml);
            assert_eq!(serde_json::to_string(&slot).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Slot>(json).expect(json), slot);
            assert_eq!(slot.to_string(), shown);
        }
    }

    #[test]
    fn every_other_form_is_refused_and_told_what_is_allowed() {
        let long = format!("{{ header = \"a\", prefix = \"{}\" }}", "x".repeat(65));
        for (toml, error) in [
            ("\"Bearer\"", SlotError::Unknown),
            ("\"cookie\"", SlotError::Unknown),
            ("\"\"", SlotError::Unknown),
            ("{}", SlotError::Unknown),
            ("{ cookie = \"a\" }", SlotError::Unknown),
            ("{ header = \"a\", query = \"b\" }", SlotError::Two),
            ("{ prefix = \"a\" }", SlotError::PrefixAlone),
            ("{ query = \"a\", prefix = \"a\" }", SlotError::PrefixAlone),
            ("{ header = \"\" }", SlotError::Header),
            ("{ header = \"X Y\" }", SlotError::Header),
            ("{ header = \"x\\r\\ny\" }", SlotError::Header),
            ("{ header = \"Host\" }", SlotError::HeaderOfConnection),
            (
                "{ header = \"content-length\" }",
                SlotError::HeaderOfConnection,
            ),
            ("{ header = \"a\", prefix = \"\" }", SlotError::Prefix),
            ("{ header = \"a\", prefix = \" a\" }", SlotError::Prefix),
            ("{ header = \"a\", prefix = \"a\\n\" }", SlotError::Prefix),
            ("{ header = \"a\", prefix = \"é\" }", SlotError::Prefix),
            (long.as_str(), SlotError::Prefix),
            ("{ query = \"\" }", SlotError::Query),
            ("{ query = \"a&b\" }", SlotError::Query),
            ("{ query = \"a%62\" }", SlotError::Query),
        ] {
            assert_eq!(of_toml(toml), Err(error.to_string()), "{toml}");
        }
        for toml in ["7", "true", "[\"bearer\"]"] {
            let refusal = of_toml(toml).expect_err(toml);
            assert!(refusal.contains(ALLOWED), "{refusal}");
        }
    }
}
