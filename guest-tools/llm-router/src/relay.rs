//! From a provider's answer to the client's: what passes as it comes, and what is
//! told as an error instead because no client could read it.
//!
//! A body is never collected and an event never parsed. A stream's head waits for its
//! first piece, so that one that brings nothing, or no events, is an error with a status.
//! A stream that breaks later ends with an event that says so, where the client is between
//! two events; elsewhere it ends without its end, so that nobody takes it for whole.

use crate::endpoint::Reply;
use crate::exchange::{self, Exchange};
use crate::provider::Provider;
use crate::refusal::Refusal;
use trusted_tool::answer::Incoming;
use trusted_tool::{ToolError, tool_error};

/// Passes an answer on.
pub fn relay(exchange: Exchange, reply: Reply) {
    let Exchange { provider, response } = exchange;
    let status = response.status;
    let content_type = response
        .header("content-type")
        .unwrap_or_default()
        .to_owned();
    let form = Form::of(&content_type);
    let passed: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| passes(name))
        .cloned()
        .collect();
    match (status, form) {
        (200..=299, Form::Json) => stream(passed, Vec::new(), response, form, reply),
        (200..=299, Form::Events) => match first_events(provider, response) {
            Ok((first, response)) => stream(passed, first, response, form, reply),
            Err(error) => reply.refuse(&error.into()),
        },
        (200..=299, Form::Other) => reply.refuse(&unreadable(provider.shown, status, &content_type)),
        (400..=599, Form::Json) => {
            let body = exchange::error_body(response);
            if exchange::says_key_is_invalid(provider, status, &body) {
                reply.refuse(&exchange::refused(provider, status).into());
            } else {
                reply.whole(status, passed, &body);
            }
        }
        (400..=599, _) => {
            reply.refuse_with(&unreadable(provider.shown, status, &content_type).with_status(status), passed);
        }
        _ => reply.refuse(
            &tool_error(
                "upstream_error",
                format!(
                    "{} answered HTTP {status}; redirects are not followed, the operator must correct {}_base_url",
                    provider.shown, provider.name
                ),
            )
            .into(),
        ),
    }
}

/// The beginning of a stream of events, and the rest of it.
fn first_events(
    provider: &Provider,
    mut answer: Incoming,
) -> Result<(Vec<u8>, Incoming), ToolError> {
    let shown = provider.shown;
    let mut first = Vec::new();
    while let Some(piece) = answer.next_piece()? {
        first.extend(piece);
        match begins_with_an_event(&first) {
            Some(true) => return Ok((first, answer)),
            Some(false) => {
                let message = format!(
                    "{shown} announced a stream of events and sent something else; try again later, or tell the operator"
                );
                return Err(tool_error("upstream_error", message));
            }
            None => {}
        }
    }
    let message = format!("{shown} ended its stream before the first event; try again");
    Err(tool_error("upstream_error", message))
}

/// Whether a stream begins as one of events does (HTML, section 9.2.5): with a comment, a
/// field that has a meaning, or an empty line. Nothing when there is too little to tell.
fn begins_with_an_event(stream: &[u8]) -> Option<bool> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let line = stream.strip_prefix(BYTE_ORDER_MARK).unwrap_or(stream);
    let names = [&b"data"[..], b"event", b"id", b"retry"];
    if BYTE_ORDER_MARK.starts_with(stream) || names.iter().any(|name| name.starts_with(line)) {
        return None;
    }
    let is_plain = matches!(line[0], b':' | b'\r' | b'\n');
    let ends_name = |rest: &[u8]| matches!(rest[0], b':' | b'\r' | b'\n');
    let has_name = |name: &&[u8]| line.strip_prefix(*name).is_some_and(ends_name);
    Some(is_plain || names.iter().any(has_name))
}

fn stream(
    headers: Vec<(String, Vec<u8>)>,
    first: Vec<u8>,
    mut answer: Incoming,
    form: Form,
    reply: Reply,
) {
    let Some(mut body) = reply.begin(answer.status, headers) else {
        return;
    };
    let mut tail = Tail::default();
    tail.push(&first);
    if !body.write(&first) {
        return;
    }
    loop {
        match answer.next_piece() {
            Ok(Some(piece)) => {
                tail.push(&piece);
                if !body.write(&piece) {
                    // The client has left.
                    return;
                }
            }
            Ok(None) => return body.finish(),
            Err(error) if form == Form::Events && tail.is_between_events() => {
                let event = format!("data: {}\n\n", Refusal::from(error).body());
                if body.write(event.as_bytes()) {
                    body.finish();
                }
                return;
            }
            Err(_) => return,
        }
    }
}

fn unreadable(shown: &str, status: u16, content_type: &str) -> Refusal {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/+.-".contains(&b);
    let said = match essence {
        "" => "something without a type".to_owned(),
        essence if essence.len() <= 64 && essence.bytes().all(is_plain) => essence.to_owned(),
        _ => "something of no known type".to_owned(),
    };
    tool_error(
        "upstream_error",
        format!("{shown} answered HTTP {status} with {said} instead of JSON; try again later, or tell the operator"),
    )
    .into()
}

/// Headers of an answer that mean something to the client: its type, and how much
/// more the provider would take.
fn passes(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "content-type" | "retry-after" | "retry-after-ms" | "x-should-retry"
    ) || name.starts_with("x-ratelimit-")
        || name.starts_with("ratelimit")
}

/// What kind of body a `Content-Type` announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Events,
    Other,
}

impl Form {
    fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::Events
        } else if essence.eq_ignore_ascii_case("application/json")
            || essence.to_ascii_lowercase().ends_with("+json")
        {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// The last bytes that went out.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, piece: &[u8]) {
        const KEPT: usize = 4;
        self.0
            .extend_from_slice(&piece[piece.len().saturating_sub(KEPT)..]);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    /// An event ends with an empty line (HTML, section 9.2.5).
    fn is_between_events(&self) -> bool {
        self.0.is_empty()
            || [&b"\n\n"[..], b"\r\r", b"\r\n\r\n"]
                .iter()
                .any(|end| self.0.ends_with(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_event_is_found_however_it_is_split() {
        for (pieces, between) in [
            (&[][..], true),
            (&["data: 1\n", "\n"], true),
            (&["data: 1\r\n", "\r", "\n"], true),
            (&["data: 1\r\r"], true),
            (&["data: 1\n"], false),
            (&["data: 1\n\n", "d"], false),
            (&["data: 1\r\n"], false),
            (&["data: 1\r\n\n"], true),
        ] {
            let mut tail = Tail::default();
            pieces.iter().for_each(|piece| tail.push(piece.as_bytes()));
            assert_eq!(tail.is_between_events(), between, "{pieces:?}");
        }
    }

    #[test]
    fn a_stream_of_events_is_told_by_its_beginning() {
        for (stream, is_events) in [
            ("", None),
            ("da", None),
            ("data", None),
            ("\u{feff}", None),
            ("data: 1", Some(true)),
            ("data\n\n", Some(true)),
            ("\u{feff}id: 1", Some(true)),
            ("event:x", Some(true)),
            ("retry: 1", Some(true)),
            (": OPENROUTER PROCESSING", Some(true)),
            ("\r\n\r\n", Some(true)),
            ("dates: 1", Some(false)),
            ("{\"error\":{}}", Some(false)),
            ("<html>", Some(false)),
            ("\0", Some(false)),
        ] {
            assert_eq!(
                begins_with_an_event(stream.as_bytes()),
                is_events,
                "{stream:?}"
            );
        }
    }

    #[test]
    fn only_json_and_events_are_readable() {
        assert_eq!(Form::of("application/json; charset=utf-8"), Form::Json);
        assert_eq!(Form::of("application/problem+json"), Form::Json);
        assert_eq!(Form::of("Text/Event-Stream;charset=utf-8"), Form::Events);
        for other in ["", "text/html", "application/jsonp"] {
            assert_eq!(Form::of(other), Form::Other, "{other}");
        }
        let refusal = unreadable("OpenAI", 200, "text/html; charset=x");
        assert_eq!(refusal.status, 502);
        assert!(
            refusal.message.contains("with text/html instead"),
            "{}",
            refusal.message
        );
        assert!(
            !unreadable("OpenAI", 200, "text/<b>")
                .message
                .contains("<b>")
        );
    }

    #[test]
    fn of_the_headers_only_the_type_and_the_limits_pass() {
        for name in [
            "Content-Type",
            "retry-after",
            "x-ratelimit-remaining-tokens",
            "x-should-retry",
        ] {
            assert!(passes(name), "{name}");
        }
        for name in [
            "set-cookie",
            "location",
            "content-length",
            "server",
            "x-request-id",
            "access-control-allow-origin",
        ] {
            assert!(!passes(name), "{name}");
        }
    }
}
