//! An answer as it comes: its head at once, its body piece by piece. It keeps no
//! more of the body than it is asked to.

use super::failure::Target;
use crate::ToolError;
use crate::bindings::wasi::http::types::{IncomingBody, IncomingResponse, http_error_code};
use crate::bindings::wasi::io::streams::{InputStream, StreamError};

/// How much of a body is asked for in one read, in bytes.
const READ_BYTES: u64 = 64 * 1024;

/// What an upstream answers, whatever its status.
pub struct Response {
    response: IncomingResponse,
    target: Target,
}

impl Response {
    pub(super) fn new(response: IncomingResponse, target: Target) -> Self {
        Self { response, target }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// The headers, names in lower case.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.response.headers().entries()
    }

    /// The first value of a header when it is text.
    pub fn header(&self, name: &str) -> Option<String> {
        let first = self.response.headers().get(name).into_iter().next()?;
        String::from_utf8(first).ok()
    }

    /// The body as it comes.
    ///
    /// # Errors
    /// `upstream_error` when there is none.
    pub fn pieces(self) -> Result<Pieces, ToolError> {
        let Self { response, target } = self;
        let body = response.consume().map_err(|()| target.broken_off())?;
        let stream = body.stream().map_err(|()| target.broken_off())?;
        Ok(Pieces {
            stream,
            _body: body,
            _response: response,
            target,
        })
    }

    /// The whole body.
    ///
    /// # Errors
    /// `upstream_error` when it breaks off or is longer than `max_bytes`.
    pub fn whole_body(self, max_bytes: u64) -> Result<Vec<u8>, ToolError> {
        let mut pieces = self.pieces()?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next_piece()? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > max_bytes {
                return Err(pieces.target.too_long(max_bytes));
            }
        }
        Ok(bytes)
    }
}

/// A body as it comes.
pub struct Pieces {
    // Dropped in this order: each is a part of the next.
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
    target: Target,
}

impl Pieces {
    /// Waits for the next piece; `None` when the body has ended.
    ///
    /// # Errors
    /// `upstream_error` or `upstream_unreachable` when it breaks off, falls silent
    /// or becomes longer than the host allows.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ToolError> {
        loop {
            match self.stream.blocking_read(READ_BYTES) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Ok(Some(piece)),
                Err(StreamError::Closed) => return Ok(None),
                Err(StreamError::LastOperationFailed(error)) => {
                    let cause = http_error_code(&error);
                    return Err(cause.map_or_else(
                        || self.target.broken_off(),
                        |cause| self.target.broken_by(&cause),
                    ));
                }
            }
        }
    }
}
