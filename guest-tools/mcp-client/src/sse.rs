//! The transport of the revision 2024-11-05: a stream of events that stays open, and an
//! endpoint, which the stream names, that takes the messages.

use serde_json::Value;
use trusted_tool::ToolError;

use crate::exchange::{self, Extra, Messages};
use crate::message::Reply;
use crate::server::Server;

/// An open stream and the endpoint beside it.
pub struct Link {
    messages: Messages,
    path: String,
}

impl Link {
    /// Opens the stream and waits for the endpoint.
    ///
    /// # Errors
    /// The server has no such stream, or names an endpoint of another origin.
    pub fn open(server: &Server) -> Result<Self, ToolError> {
        let incoming = exchange::listen(server, &Extra::new())?;
        if incoming.status != 200 {
            return Err(server.refusal(incoming.status));
        }
        if exchange::media_type(&incoming) != "text/event-stream" {
            return Err(server
                .failed("answered with no events: is its url the event stream of an MCP server?"));
        }
        let mut messages = Messages::new(incoming);
        while let Some(event) = messages.next(server)? {
            if event.kind == "endpoint" {
                let path = server.resolve(&event.data).ok_or_else(|| {
                    server.failed("names an endpoint that is not of its own origin; tell its owner")
                })?;
                return Ok(Self { messages, path });
            }
        }
        Err(server.failed("ended its stream before it named its endpoint; try again"))
    }

    /// Whether the stream goes on, as far as can be told without waiting.
    pub fn is_open(&mut self) -> bool {
        self.messages.is_open()
    }

    /// Sends a message that has no reply. `false` when the server knows no such session.
    ///
    /// # Errors
    /// The server refused it.
    pub fn send(&mut self, server: &Server, message: &Value) -> Result<bool, ToolError> {
        send(server, &self.path, message)
    }

    /// Sends a request and waits for its reply. `None` when the server knows no such
    /// session and so has done nothing.
    ///
    /// # Errors
    /// The server refused it, or its stream ended before the reply.
    pub fn exchange(
        &mut self,
        server: &Server,
        message: &Value,
        id: u64,
    ) -> Result<Option<Reply>, ToolError> {
        self.messages.start_request();
        if !self.send(server, message)? {
            return Ok(None);
        }
        let path = &self.path;
        let answer = |answer: Value| send(server, path, &answer).map(drop);
        if let Some(reply) = self.messages.reply(server, id, answer)? {
            return Ok(Some(reply));
        }
        Err(server.failed("ended its stream before it replied; try again"))
    }
}

fn send(server: &Server, path: &str, message: &Value) -> Result<bool, ToolError> {
    let answer = exchange::post(server, path, message, &Extra::new())?;
    match answer.status {
        200..=299 => Ok(true),
        404 => Ok(false),
        status => Err(server.refusal(status)),
    }
}
