//! What an upstream answered to a request: its head, and its body whole or piece by
//! piece. What a status means is up to the tool.

use crate::bindings::wasi::http::types::{IncomingBody, IncomingResponse};
use crate::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::{ToolError, tool_error};

/// How much of a body is asked for in one read, in bytes.
const READ_BYTES: u64 = 64 * 1024;

/// What an upstream answered, whatever its status.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header when it is text. Names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first_text(&self.headers, name)
    }
}

/// An answer whose body is still to be read. Dropped before its end, it closes the
/// connection.
pub struct Incoming {
    /// The HTTP status.
    pub status: u16,
    upstream: String,
    headers: Vec<(String, Vec<u8>)>,
    // Each is a child of the next; children go first.
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

impl Incoming {
    /// The answer of `upstream` that `response` begins.
    pub(crate) fn new(upstream: &str, response: IncomingResponse) -> Result<Self, ToolError> {
        let body = response.consume().map_err(|()| broken_off(upstream))?;
        let stream = body.stream().map_err(|()| broken_off(upstream))?;
        Ok(Self {
            upstream: upstream.to_owned(),
            status: response.status(),
            headers: response.headers().entries(),
            stream,
            _body: body,
            _response: response,
        })
    }

    /// The first value of a header when it is text. Names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first_text(&self.headers, name)
    }

    /// Waits for the next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// `upstream_error`: the body broke off.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ToolError> {
        match self.stream.blocking_read(READ_BYTES) {
            Ok(piece) => Ok(Some(piece)),
            Err(StreamError::Closed) => Ok(None),
            Err(StreamError::LastOperationFailed(_)) => Err(broken_off(&self.upstream)),
        }
    }

    /// A piece of the body that is there already, which may be none; `None` at its
    /// end and where it broke off.
    pub fn ready_piece(&mut self) -> Option<Vec<u8>> {
        self.stream.read(READ_BYTES).ok()
    }

    /// The whole answer.
    ///
    /// # Errors
    /// `upstream_error`: the body broke off, or has more than `max_bytes`.
    pub fn whole(mut self, max_bytes: u64) -> Result<Answer, ToolError> {
        let mut body = Vec::new();
        while let Some(piece) = self.next_piece()? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > max_bytes {
                return Err(too_long(&self.upstream, max_bytes));
            }
        }
        Ok(Answer {
            status: self.status,
            headers: std::mem::take(&mut self.headers),
            body,
        })
    }
}

fn first_text<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .and_then(|(_, value)| std::str::from_utf8(value).ok())
}

fn broken_off(upstream: &str) -> ToolError {
    tool_error(
        "upstream_error",
        format!("{upstream} broke off its answer; try again"),
    )
}

/// The error of an answer with more than `max_bytes`.
pub fn too_long(upstream: &str, max_bytes: u64) -> ToolError {
    tool_error(
        "upstream_error",
        format!(
            "{upstream} answered with more than {max_bytes} bytes, the limit max_response_bytes; ask for less"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_compared_without_case() {
        let answer = Answer {
            status: 200,
            headers: vec![("Retry-After".to_owned(), b"3".to_vec())],
            body: Vec::new(),
        };
        assert_eq!(answer.header("retry-after"), Some("3"));
        assert_eq!(answer.header("etag"), None);
    }
}
