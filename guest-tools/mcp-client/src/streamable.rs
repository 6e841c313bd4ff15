//! Streamable HTTP: one request to the server's endpoint, and its reply out of a JSON
//! body or a stream of events. Which revision is spoken is `session`'s business.

use serde_json::Value;
use trusted_tool::ToolError;

use crate::exchange::{self, Extra, Messages};
use crate::message::Reply;
use crate::pause;
use crate::server::Server;

/// The waits before a broken stream is taken up again, in milliseconds.
const DEFAULT_RETRY_MS: u64 = 500;
const MAX_RETRY_MS: u64 = 5_000;

/// What became of a posted message.
pub enum Outcome {
    /// The server replied; with the id of the session that it gave, if it gave one.
    Reply(Reply, Option<String>),
    /// No message of the protocol came back, but this status.
    Refused(u16),
}

/// Posts a request and waits for its reply. Requests of the server's own are answered
/// on the way, and a stream that broke off is taken up again, where the era has either.
pub fn post(
    server: &Server,
    message: &Value,
    id: u64,
    extra: &Extra,
    is_legacy: bool,
) -> Result<Outcome, ToolError> {
    let incoming = exchange::post(server, &server.path, message, extra)?;
    let status = incoming.status;
    let session_id = incoming.header("mcp-session-id").map(str::to_owned);
    let is_success = (200..=299).contains(&status);
    match exchange::media_type(&incoming).as_str() {
        "application/json" => {
            let body = incoming.whole(server.bounds.max_response_bytes)?.body;
            match exchange::reply_in(server, &body, id)? {
                // What the status says of a credential or a redirect comes first.
                Some(_) if matches!(status, 300..=399 | 401 | 403) => Ok(Outcome::Refused(status)),
                Some(reply) if is_success || is_definite(&reply) => {
                    Ok(Outcome::Reply(reply, session_id))
                }
                None if is_success => Err(server.failed(
                    "answered with JSON that is no message of the protocol; tell its owner",
                )),
                _ => Ok(Outcome::Refused(status)),
            }
        }
        "text/event-stream" if is_success => {
            let mut messages = Messages::new(incoming);
            let mut resumptions = 0;
            let answer = |answer: Value| match is_legacy {
                true => exchange::post(server, &server.path, &answer, extra).map(drop),
                false => Ok(()),
            };
            loop {
                if let Some(reply) = messages.reply(server, id, answer)? {
                    return Ok(Outcome::Reply(reply, session_id));
                }
                let resumption = messages.resumption().filter(|_| is_legacy);
                let Some((last_id, retry_ms)) = resumption else {
                    return Err(server.failed("ended its answer without a reply; try again"));
                };
                resumptions += 1;
                if resumptions > server.max_resumptions {
                    return Err(server.failed(
                        "broke off its answer more often than max_resumptions allows; try again",
                    ));
                }
                drop(messages);
                pause::milliseconds(retry_ms.unwrap_or(DEFAULT_RETRY_MS).min(MAX_RETRY_MS));
                let mut extra = extra.clone();
                extra.push(("last-event-id".to_owned(), last_id));
                let incoming = exchange::listen(server, &extra)?;
                if incoming.status != 200 || exchange::media_type(&incoming) != "text/event-stream"
                {
                    return Err(server.failed("broke off its answer and does not go on with it"));
                }
                messages = Messages::new(incoming);
            }
        }
        _ if is_success => Err(server.failed(
            "answered with neither JSON nor events: is its url the endpoint of an MCP server?",
        )),
        _ => Ok(Outcome::Refused(status)),
    }
}

/// Whether an error under a status that is no success is the protocol's and not the
/// transport's.
fn is_definite(reply: &Reply) -> bool {
    match reply {
        Reply::Result(_) => false,
        // Codes below are those that servers of the legacy era use for the transport:
        // no session, not acceptable.
        Reply::Error(error) => !(-32019..=-32000).contains(&error.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::RpcError;

    #[test]
    fn errors_of_the_transport_are_told_from_those_of_the_protocol() {
        let error = |code| {
            is_definite(&Reply::Error(RpcError {
                code,
                message: String::new(),
                data: Value::Null,
            }))
        };
        assert!(error(-32602) && error(-32022) && error(1));
        assert!(!error(-32000) && !error(-32001));
    }
}
