//! One `GET` over `wasi:http`, with a bound on every wait and on the size of the answer. It follows
//! no redirect and retries nothing.

use crate::bindings::exports::tavora::platform::tool::ToolError;
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingRequest, RequestOptions, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::tool_error::tool_error;

const SECOND_NS: u64 = 1_000_000_000;
const CONNECT_TIMEOUT_NS: u64 = 5 * SECOND_NS;
const FIRST_BYTE_TIMEOUT_NS: u64 = 15 * SECOND_NS;
const BETWEEN_BYTES_TIMEOUT_NS: u64 = 10 * SECOND_NS;
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The upstream's answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Gets `url`, which must be absolute.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Result<Answer, ToolError> {
    let request = request(url, headers)?;
    let options = RequestOptions::new();
    // A host without one of these timeouts returns an error, and its own timeout holds.
    let _ = options.set_connect_timeout(Some(CONNECT_TIMEOUT_NS));
    let _ = options.set_first_byte_timeout(Some(FIRST_BYTE_TIMEOUT_NS));
    let _ = options.set_between_bytes_timeout(Some(BETWEEN_BYTES_TIMEOUT_NS));
    let pending = outgoing_handler::handle(request, Some(options)).map_err(failure)?;
    pending.subscribe().block();
    let response = pending
        .get()
        .expect("it is there once its pollable is ready")
        .expect("it is taken once, here")
        .map_err(failure)?;
    Ok(Answer {
        status: response.status(),
        body: body(&response)?,
    })
}

fn request(url: &str, headers: &[(&str, &str)]) -> Result<OutgoingRequest, ToolError> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|_| {
            tool_error(
                "tool_failed",
                format!(
                    "the header {name} cannot be sent: its value holds a line break or the like"
                ),
            )
        })?;
    }
    let no_url = || {
        tool_error(
            "tool_failed",
            "the setting base_url is no http or https URL",
        )
    };
    let (scheme, rest) = match url.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        _ => return Err(no_url()),
    };
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(no_url)?);
    let request = OutgoingRequest::new(fields);
    request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path)))
        .map_err(|()| no_url())?;
    Ok(request)
}

fn body(response: &IncomingResponse) -> Result<Vec<u8>, ToolError> {
    let broken = || {
        tool_error(
            "upstream_error",
            "the weather service broke off its answer, or it is too long; try again later",
        )
    };
    let incoming = response.consume().map_err(|()| broken())?;
    let stream = incoming.stream().map_err(|()| broken())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(piece) if body.len() + piece.len() > MAX_BODY_BYTES => return Err(broken()),
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken()),
        }
    }
}

fn failure(cause: ErrorCode) -> ToolError {
    match cause {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => tool_error(
            "egress_denied",
            "the host does not let this tool send that; the operator can grant the origin",
        ),
        _ => tool_error(
            "upstream_unreachable",
            "the weather service cannot be reached; try again later",
        ),
    }
}
