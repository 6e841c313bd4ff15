//! The content of an answer whose status is no success: the server's own words in any form, within
//! bounds. `server` and `session` decide what to do about it.

use serde_json::Value;
use trusted_tool::answer::Incoming;
use trusted_tool::{json, page};

use crate::message::{self, Message, Reply, RpcError};

/// The number of bytes of a body that are searched for words.
const MAX_READ_BYTES: usize = 64 * 1024;
/// The number of characters that are shown of a body that is no message.
const MAX_SHOWN_CHARS: usize = 500;
/// The members in which JSON keeps its words, the best one first.
const PLACES: [&str; 9] = [
    "/error/message",
    "/error_description",
    "/message",
    "/detail",
    "/error",
    "/errors/0/message",
    "/errors/0",
    "/title",
    "/reason",
];

/// An answer whose status is no success.
#[derive(Debug, Default)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
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
}

impl Refusal {
    /// Reads an answer to the request `awaited`. A body that does not arrive within `within_ms` has
    /// no words.
    pub fn read(mut incoming: Incoming, awaited: u64, within_ms: u64) -> Self {
        let header = |name: &str| incoming.header(name).map(message::shown);
        let mut refusal = Self {
            status: incoming.status,
            challenge: header("www-authenticate"),
            retry_after: header("retry-after"),
            location: header("location"),
            ..Self::default()
        };
        let mut body = Vec::new();
        incoming.end_within(within_ms);
        while let Ok(Some(piece)) = incoming.next_piece() {
            body.extend_from_slice(&piece);
            if body.len() >= MAX_READ_BYTES {
                body.truncate(MAX_READ_BYTES);
                break;
            }
        }
        for message in message::parse(&body, awaited).unwrap_or_default() {
            match message {
                Message::Reply(Reply::Error(error)) => refusal.reply = Some(error),
                Message::Unaddressed(Reply::Error(error)) => refusal.unaddressed = Some(error),
                _ => {}
            }
        }
        refusal.words = match refusal.error() {
            Some(error) => message::shown(&error.message),
            None => words(&body),
        };
        refusal
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

/// The words in a body of any form, on one line.
pub fn words(body: &[u8]) -> String {
    let text = match json::read::<Value>(body) {
        Ok(json) => in_json(&json),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            match text.trim_start().starts_with('<') {
                true => page::without_tags(&text),
                false => text.into_owned(),
            }
        }
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    message::bounded(&words.join(" "), MAX_SHOWN_CHARS)
}

fn in_json(json: &Value) -> String {
    let json = json.get(0).unwrap_or(json);
    let found = PLACES.iter().find_map(|place| {
        let text = json.pointer(place)?.as_str()?;
        (!text.trim().is_empty()).then_some(text)
    });
    match (found.or(json.as_str()), json) {
        (Some(text), _) => text.to_owned(),
        (None, Value::Null) => String::new(),
        (None, json) => json.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_form() {
        for (body, found) in [
            ("", ""),
            ("  no \n room\t", "no room"),
            (
                "<html><head><style>a{}</style><title>Bad gateway</title></head><body><h1>502",
                "Bad gateway 502",
            ),
            ("<html>error code: 1010</html>", "error code: 1010"),
            (r#"{"error":{"message":"no room"}}"#, "no room"),
            (
                r#"{"error":"invalid_token","error_description":"it ran out"}"#,
                "it ran out",
            ),
            (r#"{"detail":"no room"}"#, "no room"),
            (r#"[{"message":"no room"}]"#, "no room"),
            (r#""no room""#, "no room"),
            (
                r#"{"detail":[{"msg":"no"}]}"#,
                r#"{"detail":[{"msg":"no"}]}"#,
            ),
            ("null", ""),
        ] {
            assert_eq!(words(body.as_bytes()), found, "{body}");
        }
        let long = words("no room ".repeat(1_000).as_bytes());
        assert_eq!(long.chars().count(), MAX_SHOWN_CHARS + 1);
    }

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
