//! The server that this instance talks to, as the host set it: its address, its transport, and the
//! name of its credential. Nothing here comes from an agent.

use http::Uri;
use trusted_tool::credential::{Credential, oddity};
use trusted_tool::request::{BaseUrl, Bounds, Header};
use trusted_tool::{ToolError, setting, tool_error};

use crate::refusal::Refusal;

/// The bounds without settings. The host sets the waits for an answer to `limits.mcp.idle_ms`.
const BOUNDS: Bounds = Bounds {
    connect_timeout_ms: 5_000,
    first_byte_timeout_ms: 60_000,
    between_bytes_timeout_ms: 60_000,
    max_response_bytes: 4 * 1024 * 1024,
};
/// The time until the answer to a probe, and to messages that have no reply.
const PROBE_TIMEOUT_MS: u64 = 5_000;
const MAX_TOOLS: u64 = 1_000;
const MAX_RESUMPTIONS: u64 = 5;
const MAX_REDIRECTS: u64 = 3;
const MAX_INPUT_ROUNDS: u64 = 8;

/// The transport of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One endpoint takes every message.
    StreamableHttp,
    /// A stream of events brings messages, and an endpoint beside it takes them.
    Sse,
}

/// The era of a server's protocol, as the revision 2026-07-28 distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Each request is complete in itself, without a session.
    Modern,
    /// A session begins with `initialize`.
    Legacy,
}

impl Era {
    const ALL: [Self; 2] = [Self::Modern, Self::Legacy];

    /// The word for the era between the host and this component.
    pub fn word(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Legacy => "legacy",
        }
    }
}

/// The settings of the server.
pub struct Server {
    /// The server's name in errors: `the MCP server "tasklist"`.
    pub called: String,
    /// The server's origin.
    pub base: BaseUrl,
    /// The path and query of the endpoint.
    pub path: String,
    /// The way in which messages travel.
    pub transport: Transport,
    /// The bounds of each request.
    pub bounds: Bounds,
    /// The bounds of requests that nobody waits long for: the probe for the newest revision, and
    /// messages without a reply.
    pub brief: Bounds,
    /// The era that this host found out before, if any.
    pub era: Option<Era>,
    /// Limits the tools that the server may list.
    pub max_tools: u64,
    /// Limits the resumptions of a broken stream for one request.
    pub max_resumptions: u64,
    /// Limits the redirects within the origin for one message.
    pub max_redirects: u64,
    /// Limits how often the server may ask for more input before it gives a result.
    pub max_input_rounds: u64,
    auth: Option<Auth>,
}

/// The header that carries the credential.
struct Auth {
    header: String,
    prefix: &'static str,
    secret: String,
}

impl Server {
    /// Reads the settings.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is missing or wrong.
    pub fn from_settings() -> Result<Self, ToolError> {
        let name = required("server")?;
        let url = required("url")?;
        let (base, path) = split(&url)
            .ok_or_else(|| setting::invalid("url", "an http or https URL without user"))?;
        let transport = match required("transport")?.as_str() {
            "streamable_http" => Transport::StreamableHttp,
            "sse" => Transport::Sse,
            _ => return Err(setting::invalid("transport", "streamable_http or sse")),
        };
        let auth = match setting::text("secret")? {
            None => None,
            Some(secret) => Some(match setting::text("auth_header")? {
                None => Auth {
                    header: "authorization".to_owned(),
                    prefix: "Bearer ",
                    secret,
                },
                Some(header) => Auth {
                    header,
                    prefix: "",
                    secret,
                },
            }),
        };
        let bounds = BOUNDS.overridden()?;
        let probe_timeout_ms = setting::number("probe_timeout_ms", PROBE_TIMEOUT_MS, 1..=600_000)?;
        let era = setting::text("era")?;
        Ok(Self {
            called: format!("the MCP server \"{name}\""),
            base,
            path,
            transport,
            brief: Bounds {
                connect_timeout_ms: bounds.connect_timeout_ms.min(probe_timeout_ms),
                first_byte_timeout_ms: probe_timeout_ms,
                between_bytes_timeout_ms: probe_timeout_ms,
                ..bounds
            },
            bounds,
            era: era.and_then(|era| Era::ALL.into_iter().find(|known| known.word() == era)),
            max_tools: setting::number("max_tools", MAX_TOOLS, 1..=100_000)?,
            max_resumptions: setting::number("max_resumptions", MAX_RESUMPTIONS, 0..=100)?,
            max_redirects: setting::number("max_redirects", MAX_REDIRECTS, 0..=20)?,
            max_input_rounds: setting::number("max_input_rounds", MAX_INPUT_ROUNDS, 0..=100)?,
            auth,
        })
    }

    /// The credential as a header, resolved now. `None` for a server that wants none.
    ///
    /// # Errors
    /// Why there is no credential.
    pub fn credential(&self) -> Result<Option<Header<'_>>, ToolError> {
        let Some(auth) = &self.auth else {
            return Ok(None);
        };
        let credential = Credential::resolve(&auth.secret)?;
        let value = credential.header_value(auth.prefix)?;
        Ok(Some((&auth.header, value)))
    }

    /// The error for a failure of the server.
    pub fn failed(&self, what: impl AsRef<str>) -> ToolError {
        tool_error(
            "upstream_error",
            format!("{} {}", self.called, what.as_ref()),
        )
    }

    /// The error for an answer whose status is no success, with the server's own words.
    pub fn refusal(&self, refusal: &Refusal) -> ToolError {
        let called = &self.called;
        let status = refusal.status;
        let (code, sentence) = match (status, &self.auth) {
            (401, Some(auth)) => (
                "upstream_auth",
                format!(
                    "{called} refused the credential in secret \"{}\" (HTTP 401); \
                     the app's owner must store a valid one{}",
                    auth.secret,
                    oddity(refusal.oddity.as_deref())
                ),
            ),
            (401, None) => (
                "upstream_auth",
                format!(
                    "{called} wants a credential (HTTP 401); \
                     the agent's owner must declare \"auth\" for it in agent.jsonc"
                ),
            ),
            (403, _) => (
                match refusal.challenge {
                    Some(_) => "upstream_auth",
                    None => "upstream_error",
                },
                format!("{called} does not allow this (HTTP 403)"),
            ),
            (300..=399, _) => (
                "upstream_error",
                format!(
                    "{called} answered with a redirect (HTTP {status}) to {}, which is not followed; \
                     the agent's owner must correct its url",
                    refusal.location.as_deref().unwrap_or("nowhere")
                ),
            ),
            (404 | 405, _) => (
                "upstream_error",
                format!(
                    "{called} has nothing for this client at its url (HTTP {status}); \
                     the agent's owner must correct url or transport"
                ),
            ),
            (429, _) => (
                "upstream_error",
                format!(
                    "{called} limits how often it is asked (HTTP 429); try again {}",
                    refusal.when()
                ),
            ),
            (500..=599, _) => (
                "upstream_error",
                format!(
                    "{called} has a problem of its own (HTTP {status}); try again {}",
                    refusal.when()
                ),
            ),
            _ => (
                "upstream_error",
                format!("{called} answered with an error (HTTP {status})"),
            ),
        };
        tool_error(code, refusal.with_words(sentence))
    }

    /// The path and query of a reference in the answer at `path`. The reference must be of this
    /// server's origin.
    pub fn resolve(&self, path: &str, reference: &str) -> Option<String> {
        resolve(&self.base.origin(), path, reference)
    }
}

fn required(key: &str) -> Result<String, ToolError> {
    setting::text(key)?.ok_or_else(|| setting::invalid(key, "set"))
}

/// The origin of a URL, and the rest.
fn split(url: &str) -> Option<(BaseUrl, String)> {
    let uri: Uri = url.parse().ok()?;
    let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Some((BaseUrl::parse(&origin)?, path.to_owned()))
}

/// Resolves a reference in an `endpoint` event or a redirect (RFC 3986 section 5). Forms that no
/// server has a reason for are not supported.
fn resolve(origin: &str, path: &str, reference: &str) -> Option<String> {
    let reference = reference.trim();
    let plain = |c: char| c.is_ascii_graphic() && c != '\\' && c != '#';
    if reference.is_empty() || !reference.chars().all(plain) || reference.starts_with("//") {
        return None;
    }
    if reference.contains("://") && !reference.starts_with(['/', '?']) {
        let (base, path) = split(reference)?;
        return base.origin().eq_ignore_ascii_case(origin).then_some(path);
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let path = path.split('?').next().unwrap_or_default();
    match reference.starts_with('?') {
        true => Some(format!("{path}{reference}")),
        false => {
            let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
            Some(format!("{folder}{reference}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use trusted_tool::manifest::{Manifest, of_bounds};

    use super::*;

    #[test]
    fn defaults_are_those_of_tool_toml() {
        let manifest = Manifest::parse(include_str!("../tool.toml"));
        let own = [
            ("probe_timeout_ms", PROBE_TIMEOUT_MS),
            ("max_tools", MAX_TOOLS),
            ("max_resumptions", MAX_RESUMPTIONS),
            ("max_redirects", MAX_REDIRECTS),
            ("max_input_rounds", MAX_INPUT_ROUNDS),
        ];
        let mut expected: Vec<(&str, u64)> = of_bounds(&BOUNDS).into_iter().chain(own).collect();
        expected.sort();
        let found: Vec<(&str, u64)> = manifest
            .settings()
            .into_iter()
            .map(|(key, default)| (key, default.expect(key).parse().expect(key)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_endpoint_is_of_the_servers_origin() {
        let resolved = |reference| resolve("https://a.example", "/one/sse?x=1", reference);
        for (reference, path) in [
            ("/messages?id=1", "/messages?id=1"),
            ("messages?id=1", "/one/messages?id=1"),
            ("?id=1", "/one/sse?id=1"),
            ("https://a.example/m?id=1", "/m?id=1"),
            ("HTTPS://A.EXAMPLE/m", "/m"),
            ("/m?to=http://b.example", "/m?to=http://b.example"),
        ] {
            assert_eq!(resolved(reference).as_deref(), Some(path), "{reference}");
        }
        for other in [
            "",
            "//b.example/m",
            "https://b.example/m",
            "http://a.example/m",
            "https://a.example:8443/m",
            "https://me@a.example/m",
            "https://a.example@b.example/m",
            "\\\\b.example/m",
            "/m\u{0}",
            "/a b",
            "ftp://a.example/m",
        ] {
            assert_eq!(resolved(other), None, "{other}");
        }
    }

    #[test]
    fn a_url_is_an_origin_and_the_rest() {
        let (base, path) = split("https://a.example:8443/mcp?x=1").expect("valid");
        assert_eq!(base.origin(), "https://a.example:8443");
        assert_eq!(path, "/mcp?x=1");
        let (_, path) = split("http://a.example").expect("valid");
        assert_eq!(path, "/");
        for wrong in ["", "/mcp", "https://me:pw@a.example/", "ftp://a.example/"] {
            assert!(split(wrong).is_none(), "{wrong}");
        }
    }
}
