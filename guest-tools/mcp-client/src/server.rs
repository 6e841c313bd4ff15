//! The server that this instance talks to, as the host set it: where it is, how it is
//! spoken to, and the name of its credential. Nothing here comes from an agent.

use http::Uri;
use trusted_tool::credential::Credential;
use trusted_tool::request::{BaseUrl, Bounds, Header};
use trusted_tool::{ToolError, setting, tool_error};

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One endpoint for every message.
    StreamableHttp,
    /// A stream of events, and an endpoint beside it.
    Sse,
}

/// The server.
pub struct Server {
    /// What errors call it: `the MCP server "tasklist"`.
    pub called: String,
    /// Its origin.
    pub base: BaseUrl,
    /// Path and query of its endpoint.
    pub path: String,
    /// How messages travel.
    pub transport: Transport,
    /// The bounds of each request.
    pub bounds: Bounds,
    /// How many tools it may list.
    pub max_tools: u64,
    /// How often a broken stream is taken up again for one request.
    pub max_resumptions: u64,
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
        // A tool may work for long; the host's own limit is a little above.
        let bounds = Bounds {
            first_byte_timeout_ms: 25_000,
            between_bytes_timeout_ms: 25_000,
            max_response_bytes: 4 * 1024 * 1024,
            ..Bounds::default()
        };
        Ok(Self {
            called: format!("the MCP server \"{name}\""),
            base,
            path,
            transport,
            bounds: bounds.overridden()?,
            max_tools: setting::number("max_tools", 1_000, 1..=100_000)?,
            max_resumptions: setting::number("max_resumptions", 5, 0..=100)?,
            auth,
        })
    }

    /// The credential as a header, resolved now; none for a server that wants none.
    ///
    /// # Errors
    /// Why there is no credential.
    pub fn credential(&self) -> Result<Option<Header<'_>>, ToolError> {
        let Some(auth) = &self.auth else {
            return Ok(None);
        };
        let value = Credential::resolve(&auth.secret)?.header_value(auth.prefix)?;
        Ok(Some((&auth.header, value)))
    }

    /// An error of the server.
    pub fn failed(&self, what: impl AsRef<str>) -> ToolError {
        tool_error(
            "upstream_error",
            format!("{} {}", self.called, what.as_ref()),
        )
    }

    /// What a status says that is no success, whatever the body holds.
    pub fn refusal(&self, status: u16) -> ToolError {
        let called = &self.called;
        match (status, &self.auth) {
            (401 | 403, Some(auth)) => tool_error(
                "upstream_auth",
                format!(
                    "{called} refused the credential in secret \"{}\" (HTTP {status}); \
                     the app's owner must store a valid one",
                    auth.secret
                ),
            ),
            (401 | 403, None) => tool_error(
                "upstream_auth",
                format!(
                    "{called} wants a credential (HTTP {status}); \
                     the agent's owner must declare \"auth\" for it in agent.jsonc"
                ),
            ),
            (300..=399, _) => self.failed(format!(
                "answered with a redirect (HTTP {status}), which is not followed; \
                 the agent's owner must correct its url"
            )),
            (404 | 405, _) => self.failed(format!(
                "has nothing for this client at its url (HTTP {status}); \
                 the agent's owner must correct url or transport"
            )),
            (429, _) => self.failed("limits how often it is asked (HTTP 429); try again later"),
            (500..=599, _) => self.failed(format!(
                "has a problem of its own (HTTP {status}); try again later"
            )),
            _ => self.failed(format!("answered with an error (HTTP {status})")),
        }
    }

    /// Path and query of the endpoint that an event stream names, which must be of
    /// this server's origin.
    pub fn resolve(&self, endpoint: &str) -> Option<String> {
        resolve(&self.base.origin(), &self.path, endpoint)
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

/// A reference as it stands in an `endpoint` event (RFC 3986 section 5), without the
/// forms that no server has a reason for.
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
    use super::*;

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
