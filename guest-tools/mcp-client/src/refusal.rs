//! The content of an answer whose status is no success: the server's own words in any form, within
//! bounds. `server` and `session` decide what to do about it.

use serde_json::Value;
use trusted_tool::answer::Incoming;
use trusted_tool::credential::ODDITY_HEADER;

use crate::body;
use crate::message::{Message, Reply, RpcError};
use crate::words;

/// The number of bytes that are read of a body that may hold a reply.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// The number of bytes that are read of any other body.
const MAX_READ_BYTES: usize = 64 * 1024;

/// An answer whose status is no success.
#[derive(Debug, Default)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Whether the answer holds a reply to the request, be it a result or an error.
    pub is_reply: bool,
    /// An error that replies to the request.
    pub reply: Option<RpcError>,
    /// An error of the protocol that names another request, or none.
    pub unaddressed: Option<RpcError>,
    /// The server's words; empty without any.
    pub words: String,
    /// The header `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The header `Location`.
    pub location: Option<String>,
    /// The host's hint about an odd credential.
    pub oddity: Option<String>,
}

impl Refusal {
    /// Reads an answer to the request `awaited`. A body that does not arrive within `within_ms` has
    /// no words.
    pub fn read(mut incoming: Incoming, awaited: u64, within_ms: u64) -> Self {
        let header = |name: &str| incoming.header(name).map(words::shown);
        let mut refusal = Self {
            status: incoming.status,
            challenge: header("www-authenticate"),
            retry_after: header("retry-after"),
            location: header("location"),
            oddity: header(ODDITY_HEADER),
            ..Self::default()
        };
        let mut body = Vec::new();
        incoming.end_within(within_ms);
        while let Ok(Some(piece)) = incoming.next_piece() {
            body.extend_from_slice(&piece);
            let max_bytes = match body::may_hold_messages(&body) {
                true => MAX_MESSAGE_BYTES,
                false => MAX_READ_BYTES,
            };
            if body.len() >= max_bytes {
                body.truncate(max_bytes);
                break;
            }
        }
        refusal.take_body(&body, awaited);
        refusal
    }

    /// Reads the body's words about the request `awaited`.
    pub fn take_body(&mut self, body: &[u8], awaited: u64) {
        let (messages, events) = body::messages_of(body, awaited);
        let mut result = None;
        for message in messages {
            match message {
                Message::Reply(Reply::Error(error)) => self.reply = Some(error),
                Message::Reply(Reply::Result(said)) => result = Some(said),
                Message::Unaddressed(Reply::Error(error)) => self.unaddressed = Some(error),
                _ => {}
            }
        }
        self.is_reply = self.reply.is_some() || result.is_some();
        let told = events.iter().find_map(body::words_of_error);
        let told = told.or_else(|| Some(words::in_body(events.first()?.data.as_bytes())));
        self.words = match (self.error(), result, told) {
            (Some(error), ..) => error.words(),
            (None, Some(result), _) => words::shown(&words::in_json(&Value::Object(result))),
            (None, None, Some(told)) => told,
            (None, None, None) => words::in_body(body),
        };
    }

    /// The error of the protocol in the answer.
    pub fn error(&self) -> Option<&RpcError> {
        self.reply.as_ref().or(self.unaddressed.as_ref())
    }

    /// A sentence, followed by the server's own words.
    pub fn with_words(&self, sentence: String) -> String {
        let challenge = self.challenge.as_deref().unwrap_or_default();
        match (&*self.words, challenge) {
            ("", "") => sentence,
            (words, "") => format!("{sentence}. It says: {words}"),
            ("", challenge) => format!("{sentence}. It says: WWW-Authenticate: {challenge}"),
            (words, challenge) => {
                format!("{sentence}. It says: {words} (WWW-Authenticate: {challenge})")
            }
        }
    }

    /// When the server wants to be asked again, in words.
    pub fn when(&self) -> String {
        match self.retry_after.as_deref().map(str::trim) {
            Some(seconds) if seconds.parse::<f64>().is_ok_and(|it| it >= 0.0) => {
                format!("in {seconds} s")
            }
            Some(date) if !date.is_empty() => format!("after {date}"),
            _ => "later".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_said_as_the_server_says_it() {
        for (header, when) in [
            (Some("120"), "in 120 s"),
            (Some("0.5"), "in 0.5 s"),
            (
                Some("Fri, 27 Nov 2026 14:00:00 GMT"),
                "after Fri, 27 Nov 2026 14:00:00 GMT",
            ),
            (Some(""), "later"),
            (None, "later"),
        ] {
            let refusal = Refusal {
                retry_after: header.map(str::to_owned),
                ..Refusal::default()
            };
            assert_eq!(refusal.when(), when);
        }
    }
}
