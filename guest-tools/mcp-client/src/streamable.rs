//! Streamable HTTP: one request to the server's endpoint, and its reply from a JSON body or a
//! stream of events. `session` chooses the revision.

use serde_json::Value;
use trusted_tool::ToolError;
use trusted_tool::request::{Bounds, Failure};

use crate::body::{self, Found};
use crate::exchange::{self, Body, Extra, Messages};
use crate::message::Reply;
use crate::pause;
use crate::refusal::Refusal;
use crate::server::{Era, Server};
use crate::words;

/// The wait before a broken stream is resumed, in milliseconds.
const DEFAULT_RETRY_MS: u64 = 500;
const MAX_RETRY_MS: u64 = 5_000;

/// The outcome of a posted message.
pub enum Outcome {
    /// The server's reply, and the session id that it gave, if any.
    Reply(Reply, Option<String>),
    /// The status is no success, whatever the body holds.
    Refused(Box<Refusal>),
}

/// Posts a request and waits for its reply.
pub fn post(
    server: &Server,
    message: &Value,
    id: u64,
    extra: &Extra,
    era: Era,
) -> Result<Outcome, ToolError> {
    Ok(post_within(
        server,
        message,
        id,
        extra,
        era,
        &server.bounds,
        None,
    )?)
}

/// Posts the probe. The time limit for the whole exchange is short.
pub fn probe(server: &Server, message: &Value, id: u64, extra: &Extra) -> Result<Outcome, Failure> {
    let within = Some(server.brief.first_byte_timeout_ms);
    post_within(
        server,
        message,
        id,
        extra,
        Era::Modern,
        &server.brief,
        within,
    )
}

fn post_within(
    server: &Server,
    message: &Value,
    id: u64,
    extra: &Extra,
    era: Era,
    bounds: &Bounds,
    body_within_ms: Option<u64>,
) -> Result<Outcome, Failure> {
    let mut incoming = exchange::post(server, &server.path, message, extra, bounds)?;
    let status = incoming.status;
    if !(200..=299).contains(&status) {
        return Ok(Outcome::Refused(Box::new(Refusal::read(
            incoming,
            id,
            server.brief.between_bytes_timeout_ms,
        ))));
    }
    if let Some(count) = body_within_ms {
        incoming.end_within(count);
    }
    let session_id = incoming.header("mcp-session-id").map(str::to_owned);
    let kind = exchange::media_type(&incoming).to_owned();
    let reply = match exchange::body(server, incoming)? {
        Body::Json(body) => match body::reply_in(&body, id) {
            Found::Reply(reply) => reply,
            Found::Others => {
                let what = "answered something that it was not asked; tell its owner";
                return Err(server.failed(what).into());
            }
            Found::Nothing => {
                let words = words::in_body(&body);
                return Err(server
                    .failed(format!(
                        "answered with JSON that is no message of the protocol; tell its owner. It says: {words}"
                    ))
                    .into());
            }
        },
        Body::Events(messages) => in_events(server, *messages, id, extra, era)?,
        Body::Neither(body) => {
            return Err(server.failed(neither(status, &kind, &body)).into());
        }
    };
    Ok(Outcome::Reply(reply, session_id))
}

/// The sentence for an answer in a form that is not the protocol's.
fn neither(status: u16, kind: &str, body: &[u8]) -> String {
    let kind = match kind {
        "" => "no content-type".to_owned(),
        kind => words::shown(kind),
    };
    let mut said = format!(
        "answered with neither JSON nor events (HTTP {status}, {kind}): \
         is its url the endpoint of an MCP server?"
    );
    let words = words::in_body(body);
    if !words.is_empty() {
        said.push_str(&format!(" It says: {words}"));
    }
    said
}

/// Finds the reply in a stream. In the legacy era, requests of the server that come before the
/// reply are answered, and a broken stream is resumed.
fn in_events(
    server: &Server,
    mut messages: Messages,
    id: u64,
    extra: &Extra,
    era: Era,
) -> Result<Reply, ToolError> {
    let is_legacy = era == Era::Legacy;
    let mut resumptions = 0;
    loop {
        let answer = |answer: Value| {
            if is_legacy {
                exchange::notify(server, &server.path, &answer, extra);
            }
        };
        if let Some(reply) = messages.reply(server, id, answer)? {
            return Ok(reply);
        }
        let resumption = messages.resumption().filter(|_| is_legacy);
        let Some((last_id, retry_ms)) = resumption else {
            let what = "ended its answer without a reply; try again";
            return Err(server.failed(messages.with_words(what)));
        };
        resumptions += 1;
        if resumptions > server.max_resumptions {
            let what = "broke off its answer more often than max_resumptions allows; try again";
            return Err(server.failed(messages.with_words(what)));
        }
        let broken = messages.with_words("broke off its answer and does not go on with it");
        drop(messages);
        pause::milliseconds(retry_ms.unwrap_or(DEFAULT_RETRY_MS).min(MAX_RETRY_MS));
        let mut extra = extra.clone();
        extra.push(("last-event-id".to_owned(), last_id));
        let incoming = exchange::listen(server, &extra)?;
        let is_stream = exchange::is_type(exchange::media_type(&incoming), "text/event-stream");
        if incoming.status != 200 || !is_stream {
            return Err(server.failed(broken));
        }
        messages = Messages::new(incoming);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_of_a_content_type_are_kept() {
        let said = neither(200, "text/Tok-CANARY-aB12", b"");
        assert!(said.contains("(HTTP 200, text/Tok-CANARY-aB12)"), "{said}");
        assert!(neither(200, "", b"no").contains("no content-type"));
    }
}
