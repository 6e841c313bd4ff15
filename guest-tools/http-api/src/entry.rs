//! The API of this instance, from the host's settings: its address, its credential's name and slot,
//! what is allowed, and the headers. An agent can set nothing of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use trusted_tool::credential::Credential;
use trusted_tool::request::{BaseUrl, Bounds};
use trusted_tool::retry::Retries;
use trusted_tool::{ToolError, setting, tool_error};
use zeroize::Zeroizing;

use crate::input::invalid;
use crate::pattern::Pattern;
use crate::plan::Plan;

/// The defaults of the settings `max_retries` and `max_retry_wait_ms`.
const MAX_RETRIES: u64 = 2;
const MAX_RETRY_WAIT_MS: u64 = 5_000;

/// The settings of an API.
#[derive(Debug)]
pub struct Entry {
    /// The API's name in errors: `the API "github"`.
    pub called: String,
    /// The origin of the API and the start of every path.
    pub base: BaseUrl,
    /// The headers of every request.
    pub headers: BTreeMap<String, String>,
    /// The limits of each request.
    pub bounds: Bounds,
    /// Limits the path and the query of a request, in bytes.
    pub max_url_bytes: u64,
    /// Limits an answer that is neither JSON nor text, in bytes.
    pub max_binary_bytes: u64,
    auth: Option<Auth>,
    allow: Vec<Pattern>,
    agent_headers: Vec<String>,
}

/// A secret's name, and the place where its value stands in a request.
#[derive(Debug)]
struct Auth {
    secret: String,
    slot: Slot,
}

/// The place of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Header {
        name: String,
        prefix: String,
    },
    /// `Authorization: Basic`, with fixed text around the credential.
    Basic {
        before: String,
        after: String,
    },
    Query {
        name: String,
    },
}

/// A slot in the form of the configuration.
#[derive(Deserialize)]
#[serde(untagged)]
enum SlotText {
    Word(String),
    Header {
        header: String,
        #[serde(default)]
        prefix: String,
    },
    Query {
        query: String,
    },
}

/// A credential in the form in which a request carries it.
pub enum Carried {
    /// A header.
    Header(String, Zeroizing<Vec<u8>>),
    /// A parameter of the query, encoded.
    Query(Zeroizing<String>),
}

impl Entry {
    /// Reads the settings.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is missing or wrong.
    pub fn from_settings() -> Result<Self, ToolError> {
        let name = required("name")?;
        let url = required("base_url")?;
        let base = BaseUrl::parse(&url);
        let base = base.ok_or_else(|| {
            setting::invalid("base_url", "an http or https URL without user and query")
        })?;
        let auth = match setting::text("secret")? {
            None => None,
            Some(secret) => Some(Auth {
                slot: slot(
                    &required("slot")?,
                    setting::text("user")?,
                    setting::text("password")?,
                )?,
                secret,
            }),
        };
        let allow = required("allow")?;
        let allow: Option<Vec<Pattern>> = allow.lines().map(Pattern::parse).collect();
        let list =
            |key| -> Result<String, ToolError> { Ok(setting::text(key)?.unwrap_or_default()) };
        let headers = setting::text("headers")?.unwrap_or_else(|| "{}".to_owned());
        let bounds = Bounds {
            first_byte_timeout_ms: 20_000,
            between_bytes_timeout_ms: 20_000,
            ..Bounds::default()
        };
        Ok(Self {
            called: format!("the API \"{name}\""),
            base,
            headers: serde_json::from_str(&headers)
                .map_err(|_| setting::invalid("headers", "a JSON object of texts"))?,
            bounds: bounds.overridden()?,
            max_url_bytes: setting::number("max_url_bytes", 8_192, 1..=1_048_576)?,
            max_binary_bytes: setting::number(
                "max_binary_bytes",
                1024 * 1024,
                1..=64 * 1024 * 1024,
            )?,
            auth,
            allow: allow.ok_or_else(|| setting::invalid("allow", "a list of patterns"))?,
            agent_headers: list("agent_headers")?.lines().map(str::to_owned).collect(),
        })
    }

    /// Returns the limits of repeating a request.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is wrong.
    pub fn retries(&self) -> Result<Retries, ToolError> {
        Retries::from_settings(MAX_RETRIES, MAX_RETRY_WAIT_MS)
    }

    /// Checks the method and the path of a planned request.
    ///
    /// # Errors
    /// `egress_denied`, with what is allowed. `invalid_input` for a path that is too long.
    pub fn admit(&self, plan: &Plan) -> Result<(), ToolError> {
        let path = plan.path.written();
        let length = path.len() + plan.query.written().len();
        if length as u64 > self.max_url_bytes {
            return Err(invalid(format!(
                "the path and the query together have more bytes than the setting max_url_bytes ({}) allows",
                self.max_url_bytes
            )));
        }
        let mut allow = self.allow.iter();
        if allow.any(|pattern| pattern.admits(&plan.method, &plan.path)) {
            return Ok(());
        }
        let allowed: Vec<&str> = self
            .allow
            .iter()
            .take(MAX_LISTED)
            .map(Pattern::text)
            .collect();
        let more = match self.allow.len().saturating_sub(MAX_LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let method: String = plan.method.chars().take(16).collect();
        let path: String = path.chars().take(128).collect();
        Err(tool_error(
            "egress_denied",
            format!(
                "{} does not allow {method:?} {path}; it allows {}{more}",
                self.called,
                allowed.join(", ")
            ),
        ))
    }

    /// Returns the declared spelling of a header's name, if an agent may set the header.
    ///
    /// # Errors
    /// `invalid_input`, with the names of the headers that may be set.
    pub fn agent_header(&self, name: &str) -> Result<&str, ToolError> {
        let mut declared = self.agent_headers.iter();
        let found = declared.find(|known| known.eq_ignore_ascii_case(name));
        found.map(String::as_str).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            invalid(format!(
                "the header {shown:?} is not declared for {}; a request may set {}",
                self.called,
                match self.agent_headers.as_slice() {
                    [] => "no header".to_owned(),
                    names => names.join(", "),
                }
            ))
        })
    }

    /// Returns the parameter of the query that carries the credential, if it is in the query.
    pub fn query_slot(&self) -> Option<&str> {
        match &self.auth.as_ref()?.slot {
            Slot::Query { name } => Some(name),
            Slot::Header { .. } | Slot::Basic { .. } => None,
        }
    }

    /// Returns the name of the secret, or `None` for a public API.
    pub fn secret(&self) -> Option<&str> {
        Some(&self.auth.as_ref()?.secret)
    }

    /// Resolves the credential. Returns it together with the form in which the request carries it.
    ///
    /// # Errors
    /// The error says why there is no credential.
    pub fn credential(&self) -> Result<Option<(Credential, Carried)>, ToolError> {
        let Some(auth) = &self.auth else {
            return Ok(None);
        };
        let credential = Credential::resolve(&auth.secret)?;
        let carried = match &auth.slot {
            Slot::Header { name, prefix } => {
                Carried::Header(name.clone(), credential.header_value(prefix)?)
            }
            Slot::Basic { before, after } => {
                let value = credential.header_value("")?;
                Carried::Header("authorization".to_owned(), basic(before, &value, after))
            }
            Slot::Query { name } => {
                let value = credential.header_value("")?;
                Carried::Query(parameter(name, &value))
            }
        };
        Ok(Some((credential, carried)))
    }
}

/// Limits the lines of `allow` that a message lists.
const MAX_LISTED: usize = 16;

/// Returns `Basic` and, in base64, the credential between its fixed neighbours.
fn basic(before: &str, value: &[u8], after: &str) -> Zeroizing<Vec<u8>> {
    let pair = Zeroizing::new([before.as_bytes(), value, after.as_bytes()].concat());
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(&*pair));
    Zeroizing::new([b"Basic ", encoded.as_bytes()].concat())
}

/// Returns `name=value`, encoded. The host has checked that the name needs no encoding.
fn parameter(name: &str, value: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("{name}="));
    for piece in percent_encoding::percent_encode(value, percent_encoding::NON_ALPHANUMERIC) {
        // A stand-in and most credentials have only these characters, which need no encoding.
        text.push_str(match piece {
            "%2D" => "-",
            "%2E" => ".",
            "%5F" => "_",
            "%7E" => "~",
            piece => piece,
        });
    }
    text
}

fn slot(text: &str, user: Option<String>, password: Option<String>) -> Result<Slot, ToolError> {
    let wrong = || setting::invalid("slot", "a slot");
    Ok(match serde_json::from_str(text).map_err(|_| wrong())? {
        SlotText::Word(word) if word == "bearer" => Slot::Header {
            name: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
        },
        SlotText::Word(word) if word == "basic" => Slot::Basic {
            after: match user {
                Some(_) => String::new(),
                None => format!(":{}", password.unwrap_or_default()),
            },
            before: user.map_or_else(String::new, |user| format!("{user}:")),
        },
        SlotText::Word(_) => return Err(wrong()),
        SlotText::Header { header, prefix } => Slot::Header {
            name: header,
            prefix,
        },
        SlotText::Query { query } => Slot::Query { name: query },
    })
}

fn required(key: &str) -> Result<String, ToolError> {
    setting::text(key)?.ok_or_else(|| setting::invalid(key, "set"))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::path::Path;
    use crate::query::Query;

    /// Returns an API without a credential. It allows `GET /a/*` and lets an agent set `If-Match`.
    pub fn entry() -> Entry {
        Entry {
            called: "the API \"github\"".to_owned(),
            base: BaseUrl::parse("https://api.example.com").expect("valid"),
            headers: BTreeMap::new(),
            bounds: Bounds::default(),
            max_url_bytes: 64,
            max_binary_bytes: 16,
            auth: None,
            allow: vec![Pattern::parse("GET /a/*").expect("valid")],
            agent_headers: vec!["If-Match".to_owned()],
        }
    }

    fn plan(method: &str, path: &str) -> Plan {
        Plan {
            method: method.to_owned(),
            path: Path::parse(path).expect(path),
            query: Query::new(None),
            headers: Vec::new(),
            body: None,
            wants_meta: false,
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_what_is() {
        entry().admit(&plan("GET", "/a/b")).expect("allowed");
        for (method, path) in [
            ("POST", "/a/b"),
            ("GET", "/a"),
            ("get", "/a/b"),
            ("GET ", "/a/b"),
        ] {
            let error = entry().admit(&plan(method, path)).expect_err(path);
            assert_eq!(error.code, "egress_denied");
            assert!(
                error.message.ends_with("it allows GET /a/*"),
                "{}",
                error.message
            );
        }
        let long = plan("GET", &format!("/a/{}", "x".repeat(64)));
        let error = entry().admit(&long).expect_err("too long");
        assert!(
            error.message.contains("max_url_bytes (64)"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_slot_is_read_in_the_form_of_the_configuration() {
        let header = |name: &str, prefix: &str| Slot::Header {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
        };
        let basic = |before: &str, after: &str| Slot::Basic {
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let text = |text: &str| Some(text.to_owned());
        for (written, user, password, expected) in [
            ("\"bearer\"", None, None, header("authorization", "Bearer ")),
            (r#"{"header":"x-key"}"#, None, None, header("x-key", "")),
            (
                r#"{"header":"authorization","prefix":"Token "}"#,
                None,
                None,
                header("authorization", "Token "),
            ),
            ("\"basic\"", None, None, basic("", ":")),
            ("\"basic\"", text("me"), None, basic("me:", "")),
            ("\"basic\"", None, text("x"), basic("", ":x")),
            (
                r#"{"query":"key"}"#,
                None,
                None,
                Slot::Query {
                    name: "key".to_owned(),
                },
            ),
        ] {
            assert_eq!(slot(written, user, password).ok(), Some(expected));
        }
        assert!(slot("\"cookie\"", None, None).is_err());
    }

    #[test]
    fn a_credential_stands_in_base64_and_in_a_query_as_servers_read_it() {
        let header = basic("me:", b"pass", "");
        assert_eq!(&**header, b"Basic bWU6cGFzcw==");
        let stand_in = "tvs_abc-DEF";
        assert_eq!(&**parameter("key", stand_in.as_bytes()), "key=tvs_abc-DEF");
        assert_eq!(&**parameter("key", b"a&b=c d%"), "key=a%26b%3Dc%20d%25");
    }
}
