//! The HTTP side: which path is asked for, the request's body, and the reply.
//!
//! Who asks is none of its business: the host let only an app's requests through,
//! of a length that it allows.

use crate::chat_request::ChatRequest;
use crate::exchange::{Exchange, Unanswered};
use crate::models;
use crate::refusal::Refusal;
use crate::relay;
use trusted_tool::bindings::wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use trusted_tool::bindings::wasi::io::streams::{OutputStream, StreamError};
use trusted_tool::request::Bounds;

/// How much of a body is asked for in one read, in bytes.
const READ_BYTES: u64 = 256 * 1024;
/// As long as the host lets it be; a model can think for minutes.
const BOUNDS: Bounds = Bounds {
    connect_timeout_ms: 5_000,
    first_byte_timeout_ms: 600_000,
    between_bytes_timeout_ms: 600_000,
    max_response_bytes: 2 * 1024 * 1024,
};

/// Answers one request.
pub fn answer(request: IncomingRequest, response: ResponseOutparam) {
    let reply = Reply(response);
    let path = request.path_with_query().unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    match (request.method(), path) {
        (Method::Post, path) if path.ends_with("/chat/completions") => match body(&request) {
            Some(body) => chat(&body, reply),
            None => reply.refuse(&Refusal::incomplete_body()),
        },
        (Method::Get, path) if path.ends_with("/models") => match models::list() {
            Ok(list) => reply.whole(200, json_type(), list.to_string().as_bytes()),
            Err(error) => reply.refuse(&error.into()),
        },
        (Method::Get, path) if path.contains("/models/") => {
            let (_, id) = path.split_once("/models/").unwrap_or_default();
            match models::find(id) {
                Ok(Ok(model)) => reply.whole(200, json_type(), model.to_string().as_bytes()),
                Ok(Err(id)) => reply.refuse(&Refusal::unlisted(&id)),
                Err(error) => reply.refuse(&error.into()),
            }
        }
        _ => reply.refuse(&Refusal::not_found()),
    }
}

/// The bounds of a request to a provider.
///
/// # Errors
/// `tool_failed` naming the setting that is no number or out of range.
pub fn bounds() -> Result<Bounds, trusted_tool::ToolError> {
    BOUNDS.overridden()
}

fn chat(body: &[u8], reply: Reply) {
    let chat = match ChatRequest::parse(body) {
        Ok(chat) => chat,
        Err(invalid) => return reply.refuse(&invalid.into()),
    };
    let begun = bounds()
        .map_err(Unanswered::from)
        .and_then(|bounds| Exchange::begin(&chat, &bounds));
    match begun {
        Ok(exchange) => relay::relay(exchange, reply),
        Err(unanswered) => reply.fail(unanswered),
    }
}

/// The whole body: the model in it, wherever that stands, decides where it goes.
fn body(request: &IncomingRequest) -> Option<Vec<u8>> {
    let incoming = request.consume().ok()?;
    let stream = incoming.stream().ok()?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Some(body),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
}

/// Where the one reply to a request goes.
pub struct Reply(ResponseOutparam);

impl Reply {
    /// An error of the router's own.
    pub fn refuse(self, refusal: &Refusal) {
        self.refuse_with(refusal, Vec::new());
    }

    /// Why there is no answer of a provider's.
    pub fn fail(self, unanswered: Unanswered) {
        match unanswered {
            Unanswered::Failed(error) => self.refuse(&error.into()),
            Unanswered::Error(error) => {
                let (refusal, headers) = error.refusal();
                self.refuse_with(&refusal, headers);
            }
        }
    }

    /// The same, with headers of the provider's; not their type.
    fn refuse_with(self, refusal: &Refusal, headers: Vec<(String, Vec<u8>)>) {
        let mut all = json_type();
        all.extend(
            headers
                .into_iter()
                .filter(|(name, _)| name != "content-type"),
        );
        if !refusal.can_retry && refusal.status != 429 {
            all.push(("x-should-retry".to_owned(), b"false".to_vec()));
        }
        self.whole(refusal.status, all, refusal.body().to_string().as_bytes());
    }

    /// A body that is there as a whole.
    pub fn whole(self, status: u16, headers: Vec<(String, Vec<u8>)>, body: &[u8]) {
        if let Some(mut reply) = self.begin(status, headers)
            && reply.write(body)
        {
            reply.finish();
        }
    }

    /// Sends the head; the body follows. `None` when the host takes no such head.
    pub fn begin(self, status: u16, headers: Vec<(String, Vec<u8>)>) -> Option<ReplyBody> {
        let response = OutgoingResponse::new(Fields::from_list(&headers).ok()?);
        response.set_status_code(status).ok()?;
        let body = response.body().ok()?;
        let stream = body.write().ok()?;
        ResponseOutparam::set(self.0, Ok(response));
        Some(ReplyBody { stream, body })
    }
}

/// The body of a reply that has begun. Dropped before it is finished, it breaks off.
pub struct ReplyBody {
    // Dropped in this order: the one is a part of the other.
    stream: OutputStream,
    body: OutgoingBody,
}

impl ReplyBody {
    /// Hands `bytes` to the host as it takes them; whether the client is still there.
    pub fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Ok(room) = self.stream.check_write() else {
                return false;
            };
            if room == 0 {
                self.stream.subscribe().block();
                continue;
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            if self.stream.write(piece).is_err() {
                return false;
            }
            bytes = rest;
        }
        true
    }

    /// The body is whole.
    pub fn finish(self) {
        let Self { stream, body } = self;
        drop(stream);
        // A client that has left is told nothing.
        let _ = OutgoingBody::finish(body, None);
    }
}

fn json_type() -> Vec<(String, Vec<u8>)> {
    vec![("content-type".to_owned(), b"application/json".to_vec())]
}
