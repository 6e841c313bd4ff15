//! One message to the server over HTTP and what comes back for it, as JSON or as a
//! stream of events. It knows no session and no revision: those are `session`'s.

use std::collections::VecDeque;

use serde_json::Value;
use trusted_tool::ToolError;
use trusted_tool::answer::Incoming;
use trusted_tool::request::{self, Ask, Header};
use zeroize::Zeroizing;

use crate::event_stream::{Event, EventStream};
use crate::message::{self, Message, Reply};
use crate::server::Server;

/// Headers beside those of the transport, not secret.
pub type Extra = Vec<(String, String)>;

/// A stream that brings messages.
pub struct Messages {
    incoming: Incoming,
    events: EventStream,
    waiting: VecDeque<Event>,
    bytes: u64,
}

/// Posts a message to `path`, and gives the answer's head and body.
pub fn post(
    server: &Server,
    path: &str,
    message: &Value,
    extra: &Extra,
) -> Result<Incoming, ToolError> {
    let mut headers = headers(server, extra)?;
    headers.push(("content-type", plain("application/json")));
    headers.push(("accept", plain("application/json, text/event-stream")));
    let body = message.to_string();
    Ok(request::open(
        &server.called,
        &server.base,
        path,
        Ask::Post(body.as_bytes()),
        &headers,
        &server.bounds,
    )?)
}

/// Opens a stream of events at the server's endpoint.
pub fn listen(server: &Server, extra: &Extra) -> Result<Incoming, ToolError> {
    let mut headers = headers(server, extra)?;
    headers.push(("accept", plain("text/event-stream")));
    Ok(request::open(
        &server.called,
        &server.base,
        &server.path,
        Ask::Get,
        &headers,
        &server.bounds,
    )?)
}

/// The reply in a JSON body, when there is one.
pub fn reply_in(server: &Server, body: &[u8], awaited: u64) -> Result<Option<Reply>, ToolError> {
    let Some(messages) = message::parse(body, awaited) else {
        return Ok(None);
    };
    let mut others = false;
    for message in messages {
        match message {
            Message::Reply(reply) => return Ok(Some(reply)),
            Message::Request { .. } | Message::Other => others = true,
        }
    }
    match others {
        true => Err(server.failed("answered something that it was not asked; tell its owner")),
        false => Ok(None),
    }
}

impl Messages {
    /// The messages in the body of an answer.
    pub fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            events: EventStream::default(),
            waiting: VecDeque::new(),
            bytes: 0,
        }
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
                return Ok(None);
            };
            self.take(&piece);
            if self.bytes > server.bounds.max_response_bytes {
                let max_bytes = server.bounds.max_response_bytes;
                return Err(request::too_long(&server.called, max_bytes));
            }
        }
    }

    /// Reads on up to the reply to a request. The server's own requests on the way are
    /// given to `answer` with their answers. `None` where the stream ends before.
    ///
    /// # Errors
    /// Those of [`Self::next`] and of `answer`; an event is no message of the protocol.
    pub fn reply(
        &mut self,
        server: &Server,
        awaited: u64,
        mut answer: impl FnMut(Value) -> Result<(), ToolError>,
    ) -> Result<Option<Reply>, ToolError> {
        while let Some(event) = self.next(server)? {
            if event.kind != "message" || event.data.is_empty() {
                continue;
            }
            let found = message::parse(event.data.as_bytes(), awaited).ok_or_else(|| {
                server.failed("sent an event that is no message of the protocol; tell its owner")
            })?;
            for message in found {
                match message {
                    Message::Reply(reply) => return Ok(Some(reply)),
                    Message::Request { id, method } => answer(message::answer_to(&id, &method))?,
                    Message::Other => {}
                }
            }
        }
        Ok(None)
    }

    /// What is to be counted begins anew: another request reads on in this stream.
    pub fn start_request(&mut self) {
        self.bytes = 0;
    }

    /// Whether the stream goes on. What has come is kept.
    pub fn is_open(&mut self) -> bool {
        match self.incoming.ready_piece() {
            Some(piece) => {
                self.take(&piece);
                true
            }
            None => false,
        }
    }

    /// The id of the last event, and how long the server asks to wait before its stream
    /// is taken up after it.
    pub fn resumption(&self) -> Option<(String, Option<u64>)> {
        let id = self.events.last_id.clone().filter(|id| !id.is_empty())?;
        Some((id, self.events.retry_ms))
    }

    fn take(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.waiting.extend(self.events.feed(piece));
    }
}

/// The first words of a content type.
pub fn media_type(incoming: &Incoming) -> String {
    let value = incoming.header("content-type").unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().to_ascii_lowercase()
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
