//! A session with the server. It finds out once which revision of the protocol the server speaks,
//! and then sends one request after the other.
//!
//! There are two eras, distinguished by the rules of the revision 2026-07-28 («Versioning and
//! Compatibility»). In the *modern* era each request is complete in itself. The *legacy* era begins
//! with `initialize` and may give the session an id. `tools` knows what the requests mean.

use serde_json::{Map, Value, json};
use trusted_tool::request::{Failure, Stage};
use trusted_tool::{ToolError, tool_error};

use crate::exchange::{self, Extra};
use crate::forgotten::{self, Verdict};
use crate::message::{self, INVALID_REQUEST, Reply, RpcError};
use crate::refusal::Refusal;
use crate::server::{Era, Server, Transport};
use crate::sse::Link;
use crate::streamable::{self, Outcome};
use crate::words;

/// The revision without sessions.
const MODERN: &str = "2026-07-28";
/// The revisions that begin with `initialize`, newest first.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The first legacy revision whose requests name it in a header.
const FIRST_WITH_HEADER: &str = "2025-06-18";
/// The revision of a server that names none: that of a request without the header.
const UNNAMED: &str = "2025-03-26";
const VERSION_HEADER: &str = "mcp-protocol-version";
/// The longest session id that is kept, in bytes.
const MAX_SESSION_ID_BYTES: usize = 1024;

/// An error that only servers of the modern era send.
const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;
const MODERN_ERRORS: [i64; 3] = [HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION];

/// A session that may not have begun yet.
pub struct Session {
    /// The server of the session.
    pub server: Server,
    state: Option<State>,
    /// The server's era, if it is known.
    era: Option<Era>,
    /// Whether the era was known before this session and the server has not confirmed it.
    is_assumed: bool,
    last_id: u64,
}

/// The session's knowledge of the server.
enum State {
    Modern,
    Legacy {
        version: &'static str,
        session_id: Option<String>,
    },
    Linked(Box<Link>),
}

impl Session {
    /// A session with this server. Nothing is sent yet.
    pub fn new(server: Server) -> Self {
        Self {
            era: server.era,
            is_assumed: server.era.is_some(),
            server,
            state: None,
            last_id: 0,
        }
    }

    /// Whether requests of this session also carry parameters in headers.
    ///
    /// # Errors
    /// The server speaks no revision that this client knows.
    pub fn is_modern(&mut self) -> Result<bool, ToolError> {
        self.begin()?;
        Ok(matches!(self.state, Some(State::Modern)))
    }

    /// The server's era, if this session found out something new about it. The inner `None` means
    /// that the known era was wrong. The outer `None` means that there is nothing new, which is
    /// always so over a transport that itself tells the era.
    pub fn found(&self) -> Option<Option<Era>> {
        let is_told = matches!(self.state, Some(State::Modern | State::Legacy { .. }));
        match self.era {
            Some(era) if is_told && !self.is_assumed => Some(Some(era)),
            None if self.server.era.is_some() => Some(None),
            _ => None,
        }
    }

    /// Ends the session, so that the server need not keep it.
    pub fn end(&mut self) {
        if let Some(State::Legacy {
            version,
            session_id: Some(id),
        }) = self.state.take()
        {
            exchange::end(&self.server, &legacy_headers(version, Some(&id)));
        }
    }

    /// Sends one request, with headers that mirror some of its parameters. If the server has
    /// forgotten the session, a new one is begun, once.
    ///
    /// # Errors
    /// The outer error: no reply. The inner error: the server's own.
    pub fn request(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
        mirrored: &Extra,
    ) -> Result<Result<Map<String, Value>, RpcError>, ToolError> {
        let mut is_begun_anew = false;
        loop {
            self.begin()?;
            let outcome = self.send(method, params, mirrored).inspect_err(|_| {
                if std::mem::take(&mut self.is_assumed) {
                    // The call may have been executed, so it is not tried again.
                    (self.state, self.era) = (None, None);
                }
            })?;
            if is_of_another_era(&outcome)
                && std::mem::take(&mut self.is_assumed)
                && self.has_changed_era()
            {
                continue;
            }
            match outcome {
                Outcome::Reply(Reply::Result(result), _) => {
                    self.is_assumed = false;
                    return Ok(Ok(result));
                }
                Outcome::Reply(Reply::Error(error), _) => {
                    if is_begun_anew || !self.can_change_revision(&error) {
                        return Ok(Err(error));
                    }
                }
                Outcome::Refused(mut refusal) => match self.verdict(&refusal, method) {
                    // If the refusal is a reply to the request, its own error is reported instead.
                    Verdict::Forgotten if is_begun_anew && !refusal.is_reply => {
                        self.state = None;
                        let sentence =
                            "forgets each session as soon as it has begun; tell its owner";
                        return Err(self.server.failed(refusal.with_words(sentence.to_owned())));
                    }
                    Verdict::Forgotten | Verdict::Doubtful if !is_begun_anew => self.state = None,
                    _ => match definite(&mut refusal) {
                        Some(error) if is_begun_anew || !self.can_change_revision(&error) => {
                            return Ok(Err(error));
                        }
                        Some(_) => {}
                        None => return Err(self.refusal(&refusal)),
                    },
                },
            }
            is_begun_anew = true;
        }
    }

    fn send(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
        mirrored: &Extra,
    ) -> Result<Outcome, ToolError> {
        let id = self.next_id();
        let mut meta = Map::new();
        if method == "tools/call" {
            // A tool that works for long reports progress under this token, and so shows that it
            // lives.
            meta.insert("progressToken".to_owned(), id.into());
        }
        match &mut self.state {
            Some(State::Linked(link)) => {
                let message = message::request(id, method, &with_meta(params, meta));
                link.exchange(&self.server, &message, id)
            }
            Some(State::Modern) => {
                let mut extra = modern_headers(method, params);
                extra.extend(mirrored.iter().cloned());
                let params = with_meta(params, modern_meta(meta));
                let message = message::request(id, method, &params);
                streamable::post(&self.server, &message, id, &extra, Era::Modern)
            }
            Some(State::Legacy {
                version,
                session_id,
            }) => {
                let mut extra = legacy_headers(version, session_id.as_deref());
                if *version == MODERN {
                    // A legacy session has the modern version, so the request carries the headers
                    // and the metadata of both eras.
                    let modern = modern_headers(method, params).into_iter();
                    extra.extend(modern.filter(|(name, _)| name != VERSION_HEADER));
                    meta = modern_meta(meta);
                }
                let message = message::request(id, method, &with_meta(params, meta));
                streamable::post(&self.server, &message, id, &extra, Era::Legacy)
            }
            None => Err(self.server.failed("has no session")),
        }
    }

    /// Whether the server has forgotten the session.
    fn verdict(&self, refusal: &Refusal, method: &str) -> Verdict {
        let has_session = match &self.state {
            Some(State::Legacy { session_id, .. }) => session_id.is_some(),
            Some(State::Linked(_)) => true,
            Some(State::Modern) | None => false,
        };
        match has_session {
            true => forgotten::verdict(refusal, method == "tools/call"),
            false => Verdict::Other,
        }
    }

    /// The error for a refused request. It does not blame the URL where a session has begun there.
    fn refusal(&self, refusal: &Refusal) -> ToolError {
        match (refusal.status, &self.state) {
            (status @ (404 | 405), Some(_)) => {
                let sentence = format!("answered with an error (HTTP {status})");
                self.server.failed(refusal.with_words(sentence))
            }
            _ => self.server.refusal(refusal),
        }
    }

    /// Whether the server has changed since its era was found out. It is asked again for its era,
    /// because a request that it refused in this era may have been executed.
    fn has_changed_era(&mut self) -> bool {
        let before = self.era.take();
        self.state = None;
        self.begin().is_ok() && self.era != before
    }

    /// Whether the server wants another revision and names one that this client speaks.
    fn can_change_revision(&mut self, error: &RpcError) -> bool {
        if !error.is(UNSUPPORTED_VERSION) || !matches!(self.state, Some(State::Modern)) {
            return false;
        }
        let supported = texts(error.data.get("supported"));
        if !supported.iter().any(|it| it == MODERN) {
            (self.state, self.era) = (None, Some(Era::Legacy));
        }
        supported
            .iter()
            .any(|it| it == MODERN || LEGACY.contains(&it.as_str()))
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
            self.state = Some(match (self.server.transport, self.era) {
                (Transport::Sse, _) => self.link()?,
                (Transport::StreamableHttp, Some(Era::Modern)) => State::Modern,
                (Transport::StreamableHttp, Some(Era::Legacy)) => match self.initialize() {
                    Err(_) if std::mem::take(&mut self.is_assumed) => self.negotiate()?,
                    state => {
                        self.is_assumed = false;
                        state?
                    }
                },
                (Transport::StreamableHttp, None) => self.negotiate()?,
            });
            self.era = Some(match self.state {
                Some(State::Modern) => Era::Modern,
                _ => Era::Legacy,
            });
        }
        Ok(())
    }

    /// Sends the probe of the modern era. A server that does not answer it in the modern form
    /// within a short time belongs to the legacy era.
    fn negotiate(&mut self) -> Result<State, ToolError> {
        for is_last in [false, true] {
            let id = self.next_id();
            let params = with_meta(&Map::new(), modern_meta(Map::new()));
            let message = message::request(id, "server/discover", &params);
            let extra = modern_headers("server/discover", &Map::new());
            let error = match streamable::probe(&self.server, &message, id, &extra) {
                Ok(Outcome::Reply(Reply::Result(result), _)) => {
                    let supported = texts(result.get("supportedVersions"));
                    match supported.iter().any(|version| version == MODERN) {
                        true => return Ok(State::Modern),
                        false => return self.fall_back(&supported),
                    }
                }
                Ok(Outcome::Reply(Reply::Error(error), _)) => Some(error),
                Ok(Outcome::Refused(refusal)) => refusal.reply.or(refusal.unaddressed),
                // Another message would come no further than this one.
                Err(failure) if !is_answered(&failure) => return Err(failure.error),
                Err(_) => None,
            };
            match error {
                Some(error) if error.is(UNSUPPORTED_VERSION) => {
                    let supported = texts(error.data.get("supported"));
                    match (supported.iter().any(|it| it == MODERN), is_last) {
                        (true, false) => {}
                        (true, true) => return Err(error.to_tool_error(&self.server.called)),
                        (false, _) => return self.fall_back(&supported),
                    }
                }
                Some(error) if error.is(HEADER_MISMATCH) || error.is(MISSING_CAPABILITY) => {
                    return Err(error.to_tool_error(&self.server.called));
                }
                _ => return self.initialize(),
            }
        }
        self.initialize()
    }

    /// Begins a legacy session with a server that does not name this client's newest revision.
    fn fall_back(&mut self, supported: &[String]) -> Result<State, ToolError> {
        let is_known = |it: &String| LEGACY.contains(&it.as_str());
        match supported.is_empty() || supported.iter().any(is_known) {
            true => self.initialize(),
            false => Err(self.unknown_version(&supported.join(", "))),
        }
    }

    fn initialize(&mut self) -> Result<State, ToolError> {
        let id = self.next_id();
        let message = message::request(id, "initialize", &initialize_params());
        let outcome = streamable::post(&self.server, &message, id, &Extra::new(), Era::Legacy)?;
        let error = match outcome {
            Outcome::Reply(Reply::Result(result), session_id) => {
                let version = self.version(&result)?;
                let session_id = self.session_id(session_id)?;
                let extra = legacy_headers(version, session_id.as_deref());
                let notification = message::notification("notifications/initialized");
                exchange::notify(&self.server, &self.server.path, &notification, &extra);
                return Ok(State::Legacy {
                    version,
                    session_id,
                });
            }
            Outcome::Reply(Reply::Error(error), _) => error,
            Outcome::Refused(mut refusal) => match definite(&mut refusal) {
                Some(error) => error,
                None => return Err(self.server.refusal(&refusal)),
            },
        };
        // A server that speaks only the modern era did not answer the probe in time.
        let supported = texts(error.data.get("supported"));
        match error.is(UNSUPPORTED_VERSION) && supported.iter().any(|it| it == MODERN) {
            true => Ok(State::Modern),
            false => Err(error.to_tool_error(&self.server.called)),
        }
    }

    fn link(&mut self) -> Result<State, ToolError> {
        let mut link = Link::open(&self.server)?;
        let id = self.next_id();
        let message = message::request(id, "initialize", &initialize_params());
        match link.exchange(&self.server, &message, id)? {
            Outcome::Reply(Reply::Result(result), _) => {
                self.version(&result)?;
                let notification = message::notification("notifications/initialized");
                link.notify(&self.server, &notification);
                Ok(State::Linked(Box::new(link)))
            }
            Outcome::Reply(Reply::Error(error), _) => Err(error.to_tool_error(&self.server.called)),
            Outcome::Refused(refusal) => Err(self.server.refusal(&refusal)),
        }
    }

    fn version(&self, result: &Map<String, Value>) -> Result<&'static str, ToolError> {
        let named = result.get("protocolVersion").and_then(Value::as_str);
        let named = named.unwrap_or(UNNAMED);
        known_version(named).ok_or_else(|| self.unknown_version(named))
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
                words::shown(named).chars().take(200).collect::<String>()
            ),
        )
    }
}

/// Whether a modern server wants other parameters in headers than it got.
pub fn is_header_mismatch(error: &RpcError) -> bool {
    error.is(HEADER_MISMATCH)
}

/// The revision that an answer to `initialize` names, if this client speaks it. Some servers name
/// the revision without sessions here, although they begin a session.
fn known_version(named: &str) -> Option<&'static str> {
    let mut known = LEGACY.into_iter().chain([MODERN]);
    known.find(|version| *version == named)
}

fn initialize_params() -> Map<String, Value> {
    object(json!({
        "protocolVersion": LEGACY[0],
        "capabilities": {},
        "clientInfo": client_info(),
    }))
}

/// Returns the error that replies to a request whose status is no success. A status about a
/// credential or a redirect comes first. So do the errors that legacy servers use for the
/// transport: no session, not acceptable.
fn definite(refusal: &mut Refusal) -> Option<RpcError> {
    let is_modern = |error: &RpcError| MODERN_ERRORS.iter().any(|code| error.is(*code));
    let is_of_the_status = matches!(refusal.status, 300..=399 | 401 | 403);
    let is_of_the_transport = |error: &RpcError| match error.code {
        Some(-32019..=-32000) => true,
        Some(INVALID_REQUEST) => refusal.status == 404,
        _ => false,
    };
    match (&refusal.reply, &refusal.unaddressed) {
        _ if is_of_the_status => None,
        (Some(error), _) if !is_of_the_transport(error) => refusal.reply.take(),
        (None, Some(error)) if is_modern(error) => refusal.unaddressed.take(),
        _ => None,
    }
}

/// Whether a failed probe reached the server.
fn is_answered(failure: &Failure) -> bool {
    let is_of_the_server = ["upstream_error", "upstream_unreachable"];
    failure.stage != Stage::Connecting && is_of_the_server.contains(&&*failure.error.code)
}

fn with_meta(params: &Map<String, Value>, meta: Map<String, Value>) -> Map<String, Value> {
    let mut params = params.clone();
    if !meta.is_empty() {
        params.insert("_meta".to_owned(), Value::Object(meta));
    }
    params
}

/// Adds the sender's metadata, which each modern request carries.
fn modern_meta(mut meta: Map<String, Value>) -> Map<String, Value> {
    meta.extend(object(json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    })));
    meta
}

fn client_info() -> Value {
    json!({ "name": "tavora-mcp-client", "version": env!("CARGO_PKG_VERSION") })
}

fn modern_headers(method: &str, params: &Map<String, Value>) -> Extra {
    let mut headers = vec![
        (VERSION_HEADER.to_owned(), MODERN.to_owned()),
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
        headers.push((VERSION_HEADER.to_owned(), version.to_owned()));
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

/// Whether a server of the other era could have given this answer.
fn is_of_another_era(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Reply(Reply::Result(_), _) => false,
        Outcome::Reply(Reply::Error(error), _) => {
            matches!(error.code, Some(-32700 | -32602..=-32600 | -32022..=-32020))
        }
        Outcome::Refused(refusal) => matches!(refusal.status, 400 | 404..=406 | 415 | 422),
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
    fn an_answer_to_initialize_may_name_every_known_revision() {
        for version in LEGACY.into_iter().chain([MODERN]) {
            assert_eq!(known_version(version), Some(version));
        }
        for other in ["", "2025-11-26", "2027-01-01"] {
            assert_eq!(known_version(other), None, "{other}");
        }
        assert_eq!(legacy_headers(MODERN, Some("a"))[0].1, MODERN);
    }

    #[test]
    fn a_modern_request_says_in_headers_what_it_is() {
        let params = object(json!({ "name": "é" }));
        let headers = modern_headers("tools/call", &params);
        assert_eq!(headers[0].1, MODERN);
        assert_eq!(headers[1].1, "tools/call");
        assert_eq!(headers[2].1, "=?base64?w6k=?=");
        let params = with_meta(&params, modern_meta(Map::new()));
        let meta = &params["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN);
        assert_eq!(
            meta["io.modelcontextprotocol/clientCapabilities"],
            json!({})
        );
    }

    #[test]
    fn errors_of_the_transport_are_told_from_those_of_the_protocol() {
        let error = |code| RpcError {
            code: Some(code),
            message: String::new(),
            data: Value::Null,
        };
        let is_definite = |status, reply: Option<i64>, unaddressed: Option<i64>| {
            let mut refusal = Refusal {
                status,
                reply: reply.map(error),
                unaddressed: unaddressed.map(error),
                ..Refusal::default()
            };
            definite(&mut refusal).is_some()
        };
        for code in [-32602, -32601, -32022, 1] {
            assert!(is_definite(400, Some(code), None), "{code}");
            assert!(!is_definite(401, Some(code), None), "{code}");
        }
        assert!(is_definite(400, Some(-32600), None));
        assert!(!is_definite(404, Some(-32600), None));
        assert!(!is_definite(400, Some(-32000), None));
        assert!(!is_definite(400, Some(-32001), None));
        assert!(is_definite(400, None, Some(-32020)));
        assert!(!is_definite(400, None, Some(-32602)));
    }
}
