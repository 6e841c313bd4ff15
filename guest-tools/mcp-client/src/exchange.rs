//! One message to the server over HTTP and its answer, as JSON or as a stream of events. Sessions
//! and revisions are the business of `session`.

use std::collections::VecDeque;

use serde_json::Value;
use trusted_tool::answer::Incoming;
use trusted_tool::request::{self, Ask, Bounds, Failure, Header};
use trusted_tool::{ToolError, tool_error};
use zeroize::Zeroizing;

use crate::body::{beginning, is_event, messages_in, words_of_error};
use crate::event_stream::{Event, EventStream};
use crate::message::{self, Message, Reply};
use crate::server::Server;

/// The number of bytes that suffice to recognise a field.
const TELLING_BYTES: usize = 6;

/// Headers beside those of the transport. They are not secret.
pub type Extra = Vec<(String, String)>;

/// A stream of events that carries messages.
pub struct Messages {
    incoming: Incoming,
    events: EventStream,
    waiting: VecDeque<Event>,
    /// The words of the last event that told of an error and was no reply.
    told: Option<String>,
    bytes: u64,
}

/// A body by its content, whatever its header says.
pub enum Body {
    /// A whole JSON text.
    Json(Vec<u8>),
    /// A stream of events.
    Events(Box<Messages>),
    /// The beginning of something else, or nothing.
    Neither(Vec<u8>),
}

/// Posts a message to `path` and returns the head and body of the answer.
pub fn post(
    server: &Server,
    path: &str,
    message: &Value,
    extra: &Extra,
    bounds: &Bounds,
) -> Result<Incoming, Failure> {
    let mut headers = headers(server, extra)?;
    headers.push(("content-type", plain("application/json")));
    headers.push(("accept", plain("application/json, text/event-stream")));
    let body = message.to_string();
    send(server, path, Ask::Post(body.as_bytes()), &headers, bounds)
}

/// Opens a stream of events at the server's endpoint.
pub fn listen(server: &Server, extra: &Extra) -> Result<Incoming, Failure> {
    let mut headers = headers(server, extra)?;
    headers.push(("accept", plain("text/event-stream")));
    send(server, &server.path, Ask::Get, &headers, &server.bounds)
}

/// Posts a message that has no reply. The wait for its outcome is short, and the outcome changes
/// nothing.
pub fn notify(server: &Server, path: &str, message: &Value, extra: &Extra) {
    let _ = post(server, path, message, extra, &server.brief);
}

/// Ends the session that these headers name, if the server supports that.
pub fn end(server: &Server, extra: &Extra) {
    if let Ok(headers) = headers(server, extra) {
        let _ = send(server, &server.path, Ask::Delete, &headers, &server.brief);
    }
}

/// Sends a request. A redirect is followed if it keeps the method and stays within the server's
/// origin.
fn send(
    server: &Server,
    path: &str,
    ask: Ask<'_>,
    headers: &[Header<'_>],
    bounds: &Bounds,
) -> Result<Incoming, Failure> {
    let mut path = path.to_owned();
    let mut left = server.max_redirects;
    loop {
        let incoming = request::open(&server.called, &server.base, &path, ask, headers, bounds)?;
        let is_kept = match incoming.status {
            307 | 308 => true,
            301..=303 => matches!(ask, Ask::Get),
            _ => false,
        };
        let location = incoming.header("location").filter(|_| is_kept && left > 0);
        match location.and_then(|location| server.resolve(&path, location)) {
            Some(next) => path = next,
            None => return Ok(incoming),
        }
        left -= 1;
    }
}

/// The kind of a body. Its header decides only where its beginning does not tell.
///
/// # Errors
/// The body broke off, or is longer than a request may bring.
pub fn body(server: &Server, mut incoming: Incoming) -> Result<Body, ToolError> {
    let is_type = |wanted| is_type(media_type(&incoming), wanted);
    let (is_event_type, is_json_type) = (is_type("text/event-stream"), is_type("application/json"));
    let max_bytes = server.bounds.max_response_bytes;
    let mut read = 0;
    let mut next_piece = || {
        let piece = incoming.next_piece()?;
        read += piece.as_ref().map_or(0, Vec::len) as u64;
        match read > max_bytes {
            true => Err(request::too_long(&server.called, max_bytes)),
            false => Ok(piece),
        }
    };
    let mut begun = Vec::new();
    let (is_json, is_whole) = loop {
        // Drop the white space before the beginning, so that it is not read again with each piece.
        begun.drain(..begun.len() - beginning(&begun).len());
        let is_json = begun.first().is_some_and(|it| b"{[".contains(it));
        if is_json || begun.len() >= TELLING_BYTES {
            break (is_json, false);
        }
        match next_piece()? {
            Some(piece) => begun.extend_from_slice(&piece),
            None => break (is_json, true),
        }
    };
    if !is_json && (is_event(&begun) || is_event_type) {
        return Ok(Body::Events(Box::new(Messages::after(incoming, &begun))));
    }
    if !is_json && !is_json_type {
        return Ok(Body::Neither(begun));
    }
    while !is_whole && let Some(piece) = next_piece()? {
        begun.extend_from_slice(&piece);
    }
    Ok(Body::Json(begun))
}

impl Messages {
    /// The messages in the body of an answer.
    pub fn new(incoming: Incoming) -> Self {
        Self::after(incoming, &[])
    }

    /// The messages in a body that begins with `begun`.
    fn after(incoming: Incoming, begun: &[u8]) -> Self {
        let mut messages = Self {
            incoming,
            events: EventStream::default(),
            waiting: VecDeque::new(),
            told: None,
            bytes: 0,
        };
        messages.take(begun);
        messages
    }

    /// The next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream broke off, or brought more than a request may.
    pub fn next(&mut self, server: &Server) -> Result<Option<Event>, ToolError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(Some(event));
            }
            let Some(piece) = self.incoming.next_piece()? else {
                return Ok(self.events.finish());
            };
            self.take(&piece);
            if self.bytes > server.bounds.max_response_bytes {
                let max_bytes = server.bounds.max_response_bytes;
                return Err(request::too_long(&server.called, max_bytes));
            }
        }
    }

    /// Reads up to the reply to a request. `answer` sends the answers to the server's own requests
    /// that arrive before the reply. Anything that is no message is skipped, but an error that it
    /// tells of is remembered. `None` when the stream ends before the reply.
    ///
    /// # Errors
    /// Those of [`Self::next`].
    pub fn reply(
        &mut self,
        server: &Server,
        awaited: u64,
        mut answer: impl FnMut(Value),
    ) -> Result<Option<Reply>, ToolError> {
        loop {
            let event = match self.next(server) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(error) => {
                    return Err(tool_error(&error.code, self.with_words(error.message)));
                }
            };
            let Some(messages) = messages_in(&event, awaited) else {
                self.told = words_of_error(&event).or(self.told.take());
                continue;
            };
            for message in messages {
                match message {
                    Message::Reply(reply) => return Ok(Some(reply)),
                    Message::Unaddressed(reply @ Reply::Error(_)) => return Ok(Some(reply)),
                    Message::Request { id, method } => answer(message::answer_to(&id, &method)),
                    Message::Unaddressed(Reply::Result(_)) | Message::Other => {}
                }
            }
        }
    }

    /// A sentence, followed by the words of an event that told of an error.
    pub fn with_words(&self, sentence: impl Into<String>) -> String {
        let sentence = sentence.into();
        match &self.told {
            Some(words) => format!("{sentence}. It says: {words}"),
            None => sentence,
        }
    }

    /// Limits the time in milliseconds until the wanted message. `None` removes the limit.
    pub fn end_within(&mut self, count: Option<u64>) {
        match count {
            Some(count) => self.incoming.end_within(count),
            None => self.incoming.end_at_leisure(),
        }
    }

    /// Restarts the count of bytes, because another request reads on in this stream.
    pub fn start_request(&mut self) {
        self.bytes = 0;
        self.told = None;
    }

    /// Whether the stream is still open. The bytes that have arrived are kept.
    pub fn is_open(&mut self) -> bool {
        match self.incoming.ready_piece() {
            Some(piece) => {
                self.take(&piece);
                true
            }
            None => false,
        }
    }

    /// The id of the last event, and the wait before resuming after it that the server asks for.
    pub fn resumption(&self) -> Option<(String, Option<u64>)> {
        let id = self.events.last_id.clone().filter(|id| !id.is_empty())?;
        Some((id, self.events.retry_ms))
    }

    fn take(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.waiting.extend(self.events.feed(piece));
    }
}

/// The content type of an answer without its parameters, as the server wrote it.
pub fn media_type(incoming: &Incoming) -> &str {
    essence(incoming.header("content-type").unwrap_or_default())
}

/// Whether a content type is this one. The comparison ignores case, and the text keeps it: the
/// host's scrubber knows a credential that the server repeats only in its own letters.
pub fn is_type(kind: &str, wanted: &str) -> bool {
    kind.eq_ignore_ascii_case(wanted)
}

fn essence(content_type: &str) -> &str {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim()
}

fn headers<'a>(server: &'a Server, extra: &'a Extra) -> Result<Vec<Header<'a>>, ToolError> {
    let mut headers: Vec<Header<'a>> = vec![("accept-encoding", plain("identity"))];
    headers.extend(server.credential()?);
    let extra = extra.iter().map(|(name, value)| (&**name, plain(value)));
    headers.extend(extra);
    Ok(headers)
}

fn plain(text: &str) -> Zeroizing<Vec<u8>> {
    text.as_bytes().to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_compared_without_case_and_kept_as_it_came() {
        let kind = essence(" Text/Event-Stream ; charset=UTF-8");
        assert_eq!(kind, "Text/Event-Stream");
        assert!(is_type(kind, "text/event-stream"));
        assert!(!is_type(essence(""), "application/json"));
    }
}
