//! An upstream's answer to a request: its head, and its body whole or piece by piece. The tool
//! decides what a status means.

use crate::ToolError;
use crate::bindings::wasi::clocks::monotonic_clock::{self, Instant};
use crate::bindings::wasi::http::types::{IncomingBody, IncomingResponse, http_error_code};
use crate::bindings::wasi::io::poll;
use crate::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::failure::Target;

/// The number of bytes of a body that one read asks for.
const READ_BYTES: u64 = 64 * 1024;

/// An upstream's answer, whatever its status.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer with these parts.
    pub fn new(status: u16, headers: Vec<(String, Vec<u8>)>, body: Vec<u8>) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// The first value of a header, if it is text. Names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first_text(&self.headers, name)
    }

    /// Every header, with its name in lower case.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}

/// An answer whose body is still to be read. If it is dropped before its end, the connection is
/// closed.
pub struct Incoming {
    /// The HTTP status.
    pub status: u16,
    target: Target,
    headers: Vec<(String, Vec<u8>)>,
    deadline: Option<Instant>,
    // Each of these is a child of the next one, and children must be dropped first.
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

impl Incoming {
    /// The answer of `target` that begins with `response`.
    pub(crate) fn new(target: Target, response: IncomingResponse) -> Result<Self, ToolError> {
        let body = response.consume().map_err(|()| target.broken_off())?;
        let stream = body.stream().map_err(|()| target.broken_off())?;
        Ok(Self {
            target,
            status: response.status(),
            headers: response.headers().entries(),
            deadline: None,
            stream,
            _body: body,
            _response: response,
        })
    }

    /// The first value of a header, if it is text. Names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first_text(&self.headers, name)
    }

    /// Every header, with its name in lower case.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }

    /// Limits the time of the whole body to `count` milliseconds, however steadily it comes.
    pub fn end_within(&mut self, count: u64) {
        self.deadline = Some(monotonic_clock::now() + count.saturating_mul(1_000_000));
    }

    /// Removes the limit on the time of the whole body.
    pub fn end_at_leisure(&mut self) {
        self.deadline = None;
    }

    /// Waits for the next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// `upstream_error` or `upstream_unreachable`: the body broke off, fell silent, took too long,
    /// or is longer than the host allows.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ToolError> {
        if let Some(deadline) = self.deadline {
            let (piece, late) = (
                self.stream.subscribe(),
                monotonic_clock::subscribe_instant(deadline),
            );
            if !poll::poll(&[&piece, &late]).contains(&0) {
                return Err(self.target.too_late());
            }
        }
        match self.stream.blocking_read(READ_BYTES) {
            Ok(piece) => Ok(Some(piece)),
            Err(StreamError::Closed) => Ok(None),
            Err(StreamError::LastOperationFailed(error)) => Err(match http_error_code(&error) {
                Some(cause) => self.target.broken_by(&cause),
                None => self.target.broken_off(),
            }),
        }
    }

    /// A piece of the body that has already arrived, which may be empty. `None` at its end and
    /// where it broke off.
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
                return Err(self.target.too_long(max_bytes));
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
