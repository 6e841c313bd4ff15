//! The HTTP side: the requested path and the request's body.
//!
//! The router does not ask who sends a request. The host lets only an app's requests through, of a
//! length that it allows.

use crate::chat_request::ChatRequest;
use crate::exchange::{Exchange, Unanswered};
use crate::models;
use crate::refusal::Refusal;
use crate::relay;
use crate::reply::{Reply, json_type};
use trusted_tool::bindings::wasi::http::types::{IncomingRequest, Method, ResponseOutparam};
use trusted_tool::bindings::wasi::io::streams::StreamError;
use trusted_tool::request::Bounds;

/// The number of bytes of a body that one read asks for.
const READ_BYTES: u64 = 256 * 1024;
/// The waits are as long as the host allows, because a model can think for minutes.
pub const BOUNDS: Bounds = Bounds {
    connect_timeout_ms: 5_000,
    first_byte_timeout_ms: 600_000,
    between_bytes_timeout_ms: 600_000,
    max_response_bytes: 2 * 1024 * 1024,
};

/// Answers one request.
pub fn answer(request: IncomingRequest, response: ResponseOutparam) {
    let reply = Reply::to(response);
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

/// The whole body. The model in it decides where the request goes, and it can stand anywhere.
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
