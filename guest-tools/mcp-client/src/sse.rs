//! The transport of the revision 2024-11-05: a stream of events that stays open, and an endpoint
//! for messages, which the stream names.

use serde_json::Value;
use trusted_tool::ToolError;

use crate::exchange::{self, Extra, Messages};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::streamable::Outcome;

/// An open stream and the endpoint beside it.
pub struct Link {
    messages: Messages,
    path: String,
}

impl Link {
    /// Opens the stream and waits for the name of the endpoint.
    ///
    /// # Errors
    /// The server has no such stream, or names an endpoint of another origin.
    pub fn open(server: &Server) -> Result<Self, ToolError> {
        let incoming = exchange::listen(server, &Extra::new())?;
        if incoming.status != 200 {
            return Err(server.refusal(&Refusal::read(
                incoming,
                0,
                server.brief.between_bytes_timeout_ms,
            )));
        }
        if !exchange::is_type(exchange::media_type(&incoming), "text/event-stream") {
            return Err(server
                .failed("answered with no events: is its url the event stream of an MCP server?"));
        }
        let mut messages = Messages::new(incoming);
        messages.end_within(Some(server.bounds.first_byte_timeout_ms));
        while let Some(event) = messages.next(server)? {
            if event.kind == "endpoint" {
                let path = server.resolve(&server.path, &event.data).ok_or_else(|| {
                    server.failed("names an endpoint that is not of its own origin; tell its owner")
                })?;
                messages.end_within(None);
                return Ok(Self { messages, path });
            }
        }
        Err(server.failed("ended its stream before it named its endpoint; try again"))
    }

    /// Whether the stream is still open, as far as that shows without waiting.
    pub fn is_open(&mut self) -> bool {
        self.messages.is_open()
    }

    /// Sends a message that has no reply.
    pub fn notify(&self, server: &Server, message: &Value) {
        exchange::notify(server, &self.path, message, &Extra::new());
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// The server cannot be asked, or its stream ended before the reply.
    pub fn exchange(
        &mut self,
        server: &Server,
        message: &Value,
        id: u64,
    ) -> Result<Outcome, ToolError> {
        self.messages.start_request();
        let extra = Extra::new();
        let answer = exchange::post(server, &self.path, message, &extra, &server.bounds)?;
        if !(200..=299).contains(&answer.status) {
            return Ok(Outcome::Refused(Box::new(Refusal::read(
                answer,
                id,
                server.brief.between_bytes_timeout_ms,
            ))));
        }
        let path = &self.path;
        let answer = |answer: Value| exchange::notify(server, path, &answer, &Extra::new());
        match self.messages.reply(server, id, answer)? {
            Some(reply) => Ok(Outcome::Reply(reply, None)),
            None => {
                let what = "ended its stream before it replied; try again";
                Err(server.failed(self.messages.with_words(what)))
            }
        }
    }
}
