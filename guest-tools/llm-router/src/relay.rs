//! Relays a provider's answer to the client. Some of it passes unchanged. What no client could read
//! becomes an error.
//!
//! A whole answer is looked at before it passes, because it can be an error under a success. A very
//! long answer is no error. Of a stream, only the first event is looked at, if it is there. When a
//! stream breaks later between two events, an event says so. Within an event, the stream stops
//! without its end, so that nobody takes it for whole.

use crate::exchange::{Exchange, Unanswered};
use crate::provider_error::{is_error, passes, raised, unreadable};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::words;
use serde_json::{Value, json};
use trusted_tool::answer::Incoming;
use trusted_tool::{ToolError, tool_error};

/// The number of bytes of an answer that are looked at. A longer answer is a completion.
const MAX_LOOKED_AT_BYTES: usize = 1024 * 1024;
/// The length in bytes up to which a first event is looked at.
const MAX_FIRST_EVENT_BYTES: usize = 64 * 1024;

type Headers = Vec<(String, Vec<u8>)>;

/// Passes an answer on.
pub fn relay(exchange: Exchange, reply: Reply) {
    let headers: Headers = exchange
        .response
        .headers()
        .iter()
        .filter(|(name, _)| passes(name))
        .cloned()
        .collect();
    match judge(exchange) {
        Ok(Ready::Whole(body)) => reply.whole(200, headers, &body),
        Ok(Ready::Events(body)) => reply.whole(200, with_type(headers, "text/event-stream"), &body),
        Ok(Ready::Begun { first, rest, form }) => {
            let headers = match form {
                Form::Events => with_type(headers, ""),
                _ => headers,
            };
            stream(headers, first, rest, form, reply);
        }
        Err(unanswered) => reply.fail(unanswered),
    }
}

/// What is ready for the client.
enum Ready {
    /// A completion.
    Whole(Vec<u8>),
    /// A completion as events, for a client that reads only events.
    Events(Vec<u8>),
    /// The beginning of an answer, and the rest of it.
    Begun {
        first: Vec<u8>,
        rest: Incoming,
        form: Form,
    },
}

fn judge(mut exchange: Exchange) -> Result<Ready, Unanswered> {
    let content_type = exchange
        .response
        .header("content-type")
        .unwrap_or_default()
        .to_owned();
    let mut first = Vec::new();
    let form = match Form::of(&content_type) {
        Form::Other => {
            // The body can be right although its type is wrong.
            first = exchange.response.next_piece()?.unwrap_or_default();
            Form::of_body(&first)
        }
        form => form,
    };
    match form {
        Form::Json => whole(exchange, first),
        Form::Events => events(exchange, first),
        Form::Other => {
            let body = collected(&mut exchange.response, first)?;
            let said = words::read(&content_type, &body).message;
            let (shown, status) = (exchange.provider.shown, exchange.response.status);
            let message = unreadable(shown, status, &content_type, said.as_deref());
            Err(tool_error("upstream_error", message).into())
        }
    }
}

/// A JSON answer: a completion or an error.
fn whole(mut exchange: Exchange, first: Vec<u8>) -> Result<Ready, Unanswered> {
    let body = collected(&mut exchange.response, first)?;
    if body.len() > MAX_LOOKED_AT_BYTES {
        return Ok(Ready::Begun {
            first: body,
            rest: exchange.response,
            form: Form::Json,
        });
    }
    let json = String::from_utf8_lossy(&body);
    match words::parsed(json.trim_start_matches('\u{feff}').trim()) {
        Some(json) if !is_error(&json) && exchange.is_streamed => {
            Ok(Ready::Events(as_events(json).into_bytes()))
        }
        Some(json) if !is_error(&json) => Ok(Ready::Whole(body)),
        json => Err(match json.as_ref().and_then(raised) {
            Some(error) => exchange.error_in(error.to_string().as_bytes()).into(),
            None => {
                let said = words::read("", &body).message.filter(|_| json.is_none());
                let said = said.map_or(String::new(), |said| format!(" ({said:?})"));
                let what =
                    format!("answered with something that is no completion{said}; try again later");
                exchange.unreadable(what).into()
            }
        }),
    }
}

/// The part of the answer that is looked at.
fn collected(response: &mut Incoming, first: Vec<u8>) -> Result<Vec<u8>, ToolError> {
    let mut body = first;
    while body.len() <= MAX_LOOKED_AT_BYTES {
        match response.next_piece()? {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(body)
}

/// A completion as the events of a stream.
fn as_events(mut completion: Value) -> String {
    completion["object"] = "chat.completion.chunk".into();
    let choices = completion["choices"].as_array_mut();
    for choice in choices.into_iter().flatten() {
        let Some(choice) = choice.as_object_mut() else {
            continue;
        };
        let mut delta = choice.remove("message").unwrap_or_else(|| json!({}));
        let calls = delta.get_mut("tool_calls").and_then(Value::as_array_mut);
        for (index, call) in calls.into_iter().flatten().enumerate() {
            if let Some(call) = call.as_object_mut() {
                call.insert("index".to_owned(), index.into());
            }
        }
        choice.insert("delta".to_owned(), delta);
    }
    format!("data: {completion}\n\ndata: [DONE]\n\n")
}

/// A stream of events: its beginning, unless that is an error.
fn events(mut exchange: Exchange, first: Vec<u8>) -> Result<Ready, Unanswered> {
    let mut first = first;
    let mut has_ended = false;
    loop {
        match begins_with_an_event(&first) {
            Some(true) => match first_event(&first, has_ended) {
                First::Error(data) => return Err(exchange.error_in(&data).into()),
                First::Unknown if !has_ended && first.len() < MAX_FIRST_EVENT_BYTES => {}
                First::Unknown | First::Passes => break,
            },
            Some(false) if Form::of_body(&first) == Form::Json => return whole(exchange, first),
            Some(false) => {
                let what = "announced a stream of events and sent something else; try again later, or tell the operator";
                return Err(exchange.unreadable(what).into());
            }
            None if has_ended => {
                let what = "ended its stream before the first event; try again";
                return Err(exchange.unreadable(what).into());
            }
            None => {}
        }
        match exchange.response.next_piece()? {
            Some(piece) => first.extend(piece),
            None => has_ended = true,
        }
    }
    Ok(Ready::Begun {
        first,
        rest: exchange.response,
        form: Form::Events,
    })
}

/// The kind of the first event of a stream.
#[derive(Debug, PartialEq, Eq)]
enum First {
    /// An error, with these data.
    Error(Vec<u8>),
    /// The event is incomplete and could become an error.
    Unknown,
    /// The event is something else, or too little of it is there to wait for the rest.
    Passes,
}

fn first_event(stream: &[u8], has_ended: bool) -> First {
    let text = String::from_utf8_lossy(stream);
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    // Comments keep a connection alive, so a provider that sends one has begun.
    if text.starts_with([':', '\n']) {
        return First::Passes;
    }
    let event = match text.split_once("\n\n") {
        Some((event, _)) => event,
        None if has_ended => &text,
        None if text.contains("\"error\"") || text.starts_with("event: error") => {
            return First::Unknown;
        }
        None => return First::Passes,
    };
    let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
    let data = data.collect::<Vec<_>>().join("\n");
    match words::parsed(data.trim()) {
        Some(json) if names_an_error(&json) => match raised(&json) {
            Some(error) => First::Error(error.to_string().into_bytes()),
            None => First::Passes,
        },
        _ => First::Passes,
    }
}

/// Whether an event's data are an error. Unlike a whole answer, they may be anything else.
fn names_an_error(json: &Value) -> bool {
    let first = match json {
        Value::Array(list) => list.first().unwrap_or(json),
        json => json,
    };
    let is_named = first.get("error").is_some() || first["object"] == "error" || {
        let mut choices = first["choices"].as_array().into_iter().flatten();
        choices.any(|choice| choice.get("error").is_some())
    };
    is_named && is_error(first)
}

fn with_type(mut headers: Headers, content_type: &str) -> Headers {
    let is_events = |(name, value): &(String, Vec<u8>)| {
        name == "content-type" && Form::of(&String::from_utf8_lossy(value)) == Form::Events
    };
    if !headers.iter().any(is_events) {
        let content_type = match content_type {
            "" => "text/event-stream",
            some => some,
        };
        headers.retain(|(name, _)| name != "content-type");
        headers.push(("content-type".to_owned(), content_type.into()));
    }
    headers
}

/// Whether a stream begins as an event stream does (HTML, section 9.2.5): with a comment, a field
/// that has a meaning, or an empty line. `None` when there is too little to tell.
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

/// The form of a body that a `Content-Type` announces.
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

    /// The form of a body without such a type.
    fn of_body(body: &[u8]) -> Self {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        match body.trim_ascii_start() {
            [b'{' | b'[', ..] => Self::Json,
            rest if begins_with_an_event(rest) == Some(true) => Self::Events,
            _ => Self::Other,
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

    /// Whether the output ends between two events. An event ends with an empty line (HTML, section
    /// 9.2.5).
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
        let message = unreadable("OpenAI", 200, "text/html; charset=x", None);
        assert!(message.contains("with text/html instead"), "{message}");
        assert!(!unreadable("OpenAI", 200, "text/<b>", None).contains("<b>"));
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

    #[test]
    fn a_body_can_be_better_than_its_type() {
        for (body, form) in [
            ("{}", Form::Json),
            (" \n[", Form::Json),
            ("\u{feff}{", Form::Json),
            ("data: 1", Form::Events),
            ("<html>", Form::Other),
            ("data", Form::Other),
            ("", Form::Other),
        ] {
            assert_eq!(Form::of_body(body.as_bytes()), form, "{body:?}");
        }
    }

    #[test]
    fn an_error_in_the_first_event_is_found_and_nothing_else_is_held_back() {
        let error = |stream: &str, has_ended| first_event(stream.as_bytes(), has_ended);
        let said = First::Error(br#"{"error":{"message":"why"}}"#.to_vec());
        for stream in [
            "data: {\"error\":{\"message\":\"why\"}}\n\n",
            "event: error\r\ndata: {\"error\":{\"message\":\"why\"}}\r\n\r\n",
            "data: {\"choices\":[{\"delta\":{},\"error\":{\"message\":\"why\"}}]}\n\ndata: [DONE]\n\n",
        ] {
            assert_eq!(error(stream, false), said, "{stream}");
        }
        assert_eq!(error("data: {\"error\":{\"message\":\"why\"}}", true), said);
        assert_eq!(error("data: {\"error\":{\"mess", false), First::Unknown);
        for stream in [
            "data: {\"half\":",
            "data: {\"id\":1,\"error\":null,\"choices\":[]}\n\n",
            "data: {\"id\":1}\n\n",
            "data: [DONE]\n\n",
            ": PROCESSING\n\ndata: {\"error\":{\"message\":\"why\"}}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"error\":{\"message\":\"why\"}}\n\n",
        ] {
            assert_eq!(error(stream, false), First::Passes, "{stream}");
        }
    }

    #[test]
    fn a_completion_becomes_events_for_who_asked_for_them() {
        let completion = json!({ "id": "c", "object": "chat.completion", "choices": [
            { "index": 0, "message": { "role": "assistant", "content": null, "tool_calls": [{ "id": "t" }] }, "finish_reason": "tool_calls" },
        ], "usage": { "total_tokens": 1 } });
        let events = as_events(completion);
        let chunk = events
            .strip_prefix("data: ")
            .and_then(|it| it.strip_suffix("\n\ndata: [DONE]\n\n"));
        let chunk: Value = serde_json::from_str(chunk.expect("two events")).expect("JSON");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        let delta = json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "t", "index": 0 }] });
        assert_eq!(chunk["choices"][0]["delta"], delta);
        assert_eq!(chunk["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(chunk["usage"]["total_tokens"], 1);
    }
}
