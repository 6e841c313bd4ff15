//! A session with the server: which revision of the protocol it speaks, found out once
//! and remembered, and one request after the other in it.
//!
//! Two eras, told apart as the revision 2026-07-28 says («Versioning and
//! Compatibility»): *modern*, in which each request stands for itself, and *legacy*,
//! which begins with `initialize` and may give the session an id. What the requests
//! mean is `tools`' business.

use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

use crate::exchange::{self, Extra};
use crate::message::{self, Reply, RpcError};
use crate::server::{Server, Transport};
use crate::sse::Link;
use crate::streamable::{Outcome, post};

/// The revision that has no sessions.
const MODERN: &str = "2026-07-28";
/// The revisions that begin with `initialize`, newest first.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The first of them whose requests name it in a header.
const FIRST_WITH_HEADER: &str = "2025-06-18";
/// The longest session id that is kept, in bytes.
const MAX_SESSION_ID_BYTES: usize = 1024;

/// Errors that only a server of the modern era sends.
const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;

/// A session that may not have begun yet.
pub struct Session {
    /// Whom it is with.
    pub server: Server,
    state: Option<State>,
    last_id: u64,
}

/// What is remembered of a server.
enum State {
    Modern,
    Legacy {
        version: &'static str,
        session_id: Option<String>,
    },
    Linked(Box<Link>),
}

impl Session {
    /// With this server; nothing is sent yet.
    pub fn new(server: Server) -> Self {
        Self {
            server,
            state: None,
            last_id: 0,
        }
    }

    /// Whether requests of this session carry parameters in headers, too.
    ///
    /// # Errors
    /// The server speaks no revision that this client knows.
    pub fn is_modern(&mut self) -> Result<bool, ToolError> {
        self.begin()?;
        Ok(matches!(self.state, Some(State::Modern)))
    }

    /// One request, with headers that mirror some of its parameters. A session that the
    /// server has forgotten is begun anew, once.
    ///
    /// # Errors
    /// The outer one: no reply. The inner one: the server's own error.
    pub fn request(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
        mirrored: &Extra,
    ) -> Result<Result<Map<String, Value>, RpcError>, ToolError> {
        for is_last in [false, true] {
            self.begin()?;
            let id = self.next_id();
            let outcome = match &mut self.state {
                Some(State::Linked(link)) => {
                    let message = message::request(id, method, params);
                    match link.exchange(&self.server, &message, id)? {
                        Some(reply) => Outcome::Reply(reply, None),
                        None => Outcome::Refused(404),
                    }
                }
                Some(State::Modern) => {
                    let mut extra = modern_headers(method, params);
                    extra.extend(mirrored.iter().cloned());
                    let message = message::request(id, method, &with_meta(params));
                    post(&self.server, &message, id, &extra, false)?
                }
                Some(State::Legacy {
                    version,
                    session_id,
                }) => {
                    let extra = legacy_headers(version, session_id.as_deref());
                    let message = message::request(id, method, params);
                    post(&self.server, &message, id, &extra, true)?
                }
                None => return Err(self.server.failed("has no session")),
            };
            match outcome {
                Outcome::Reply(Reply::Result(result), _) => return Ok(Ok(result)),
                Outcome::Reply(Reply::Error(error), _) => return Ok(Err(error)),
                Outcome::Refused(404) if self.has_session() && !is_last => self.state = None,
                Outcome::Refused(404) if self.has_session() => {
                    self.state = None;
                    return Err(self
                        .server
                        .failed("forgets each session as soon as it has begun; tell its owner"));
                }
                Outcome::Refused(status) => return Err(self.server.refusal(status)),
            }
        }
        Err(self.server.failed("has no session"))
    }

    fn has_session(&self) -> bool {
        match &self.state {
            Some(State::Legacy { session_id, .. }) => session_id.is_some(),
            Some(State::Linked(_)) => true,
            Some(State::Modern) | None => false,
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn begin(&mut self) -> Result<(), ToolError> {
        if let Some(State::Linked(link)) = &mut self.state
            && !link.is_open()
        {
            self.state = None;
        }
        if self.state.is_none() {
            self.state = Some(match self.server.transport {
                Transport::Sse => self.link()?,
                Transport::StreamableHttp => self.negotiate()?,
            });
        }
        Ok(())
    }

    /// Asks in the modern way; a server that does not know it is asked in the old one.
    fn negotiate(&mut self) -> Result<State, ToolError> {
        let id = self.next_id();
        let params = with_meta(&Map::new());
        let message = message::request(id, "server/discover", &params);
        let extra = modern_headers("server/discover", &Map::new());
        match post(&self.server, &message, id, &extra, false)? {
            Outcome::Reply(Reply::Result(result), _) => {
                let supported = texts(result.get("supportedVersions"));
                match supported.iter().any(|version| version == MODERN) {
                    true => Ok(State::Modern),
                    false => self.fall_back(&supported),
                }
            }
            Outcome::Reply(Reply::Error(error), _) => match error.code {
                UNSUPPORTED_VERSION => {
                    let supported = texts(error.data.get("supported"));
                    self.fall_back(&supported)
                }
                HEADER_MISMATCH | MISSING_CAPABILITY => {
                    Err(error.to_tool_error(&self.server.called))
                }
                _ => self.initialize(),
            },
            Outcome::Refused(status @ (300..=399 | 401 | 403 | 429 | 502..=504)) => {
                Err(self.server.refusal(status))
            }
            Outcome::Refused(_) => self.initialize(),
        }
    }

    /// A server that names the revisions it knows, the newest of this client's not among
    /// them.
    fn fall_back(&mut self, supported: &[String]) -> Result<State, ToolError> {
        match supported.iter().any(|it| LEGACY.contains(&it.as_str())) {
            true => self.initialize(),
            false => Err(self.unknown_version(&supported.join(", "))),
        }
    }

    fn initialize(&mut self) -> Result<State, ToolError> {
        let id = self.next_id();
        let message = message::request(id, "initialize", &initialize_params());
        match post(&self.server, &message, id, &Extra::new(), true)? {
            Outcome::Reply(Reply::Result(result), session_id) => {
                let version = self.version(&result)?;
                let session_id = self.session_id(session_id)?;
                let extra = legacy_headers(version, session_id.as_deref());
                let notification = message::notification("notifications/initialized");
                let answer =
                    exchange::post(&self.server, &self.server.path, &notification, &extra)?;
                match answer.status {
                    200..=299 => Ok(State::Legacy {
                        version,
                        session_id,
                    }),
                    status => Err(self.server.refusal(status)),
                }
            }
            Outcome::Reply(Reply::Error(error), _) => Err(error.to_tool_error(&self.server.called)),
            Outcome::Refused(status) => Err(self.server.refusal(status)),
        }
    }

    fn link(&mut self) -> Result<State, ToolError> {
        let mut link = Link::open(&self.server)?;
        let id = self.next_id();
        let message = message::request(id, "initialize", &initialize_params());
        match link.exchange(&self.server, &message, id)? {
            Some(Reply::Result(result)) => {
                self.version(&result)?;
                let notification = message::notification("notifications/initialized");
                link.send(&self.server, &notification)?;
                Ok(State::Linked(Box::new(link)))
            }
            Some(Reply::Error(error)) => Err(error.to_tool_error(&self.server.called)),
            None => Err(self.server.refusal(404)),
        }
    }

    fn version(&self, result: &Map<String, Value>) -> Result<&'static str, ToolError> {
        let named = result.get("protocolVersion").and_then(Value::as_str);
        let named = named.unwrap_or("none");
        LEGACY
            .into_iter()
            .find(|version| *version == named)
            .ok_or_else(|| self.unknown_version(named))
    }

    fn session_id(&self, id: Option<String>) -> Result<Option<String>, ToolError> {
        let is_valid = |id: &String| {
            id.len() <= MAX_SESSION_ID_BYTES && id.bytes().all(|b| b.is_ascii_graphic())
        };
        match id {
            Some(id) if id.is_empty() || !is_valid(&id) => Err(self.server.failed(
                "gave its session an id that is none: 1 to 1024 visible ASCII characters; tell its owner",
            )),
            id => Ok(id),
        }
    }

    fn unknown_version(&self, named: &str) -> ToolError {
        tool_error(
            "upstream_error",
            format!(
                "{} speaks no revision of the protocol that this client knows, but: {}",
                self.server.called,
                message::shown(named).chars().take(200).collect::<String>()
            ),
        )
    }
}

/// Whether a modern server wants other parameters in headers than it got.
pub fn is_header_mismatch(error: &RpcError) -> bool {
    error.code == HEADER_MISMATCH
}

fn initialize_params() -> Map<String, Value> {
    object(json!({
        "protocolVersion": LEGACY[0],
        "capabilities": {},
        "clientInfo": client_info(),
    }))
}

/// The parameters with what each modern request says of its sender.
fn with_meta(params: &Map<String, Value>) -> Map<String, Value> {
    let mut params = params.clone();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params.insert("_meta".to_owned(), meta);
    params
}

fn client_info() -> Value {
    json!({ "name": "tavora-mcp-client", "version": env!("CARGO_PKG_VERSION") })
}

fn modern_headers(method: &str, params: &Map<String, Value>) -> Extra {
    let mut headers = vec![
        ("mcp-protocol-version".to_owned(), MODERN.to_owned()),
        ("mcp-method".to_owned(), method.to_owned()),
    ];
    if let Some(name) = params.get("name").and_then(Value::as_str) {
        headers.push(("mcp-name".to_owned(), crate::mirror::encoded(name)));
    }
    headers
}

fn legacy_headers(version: &str, session_id: Option<&str>) -> Extra {
    let mut headers = Extra::new();
    if version >= FIRST_WITH_HEADER {
        headers.push(("mcp-protocol-version".to_owned(), version.to_owned()));
    }
    if let Some(id) = session_id {
        headers.push(("mcp-session-id".to_owned(), id.to_owned()));
    }
    headers
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it is written as an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_the_revision_from_the_first_that_has_it() {
        assert!(legacy_headers("2025-03-26", None).is_empty());
        assert_eq!(legacy_headers("2025-06-18", Some("a")).len(), 2);
        assert!(LEGACY.contains(&FIRST_WITH_HEADER));
    }

    #[test]
    fn a_modern_request_says_in_headers_what_it_is() {
        let params = object(json!({ "name": "é" }));
        let headers = modern_headers("tools/call", &params);
        assert_eq!(headers[0].1, MODERN);
        assert_eq!(headers[1].1, "tools/call");
        assert_eq!(headers[2].1, "=?base64?w6k=?=");
        let params = with_meta(&params);
        let meta = &params["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN);
        assert_eq!(
            meta["io.modelcontextprotocol/clientCapabilities"],
            json!({})
        );
    }
}
