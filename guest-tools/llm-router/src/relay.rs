//! Relays a provider's answer to the client. Some of it passes unchanged. A part that no client
//! could read becomes an error.
//!
//! A whole answer is looked at before it passes, because it can be an error under a success. A very
//! long answer is no error. Of a stream, the first event is looked at, if it is there. Later errors
//! get the form that clients read. When a stream breaks later between two events, an event says so.
//! Within an event, the stream stops without its end, so that nobody takes it for whole.

use crate::events::{self, Errors, First, MAX_EVENT_BYTES, Tail, begins_with_an_event};
use crate::exchange::{Exchange, Unanswered};
use crate::provider_error::{is_json, passes};
use crate::refusal::Refusal;
use crate::reply::Reply;
use serde_json::{Value, json};
use trusted_tool::ToolError;
use trusted_tool::answer::Incoming;

/// The number of bytes of an answer that are looked at. A longer answer is a completion.
const MAX_LOOKED_AT_BYTES: usize = 1024 * 1024;

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
            stream(headers, &first, rest, form, reply);
        }
        Err(unanswered) => reply.fail(unanswered),
    }
}

/// The form in which an answer goes to the client.
enum Ready {
    /// A completion.
    Whole(Vec<u8>),
    /// A completion as events, for a client that reads only events.
    Events(Vec<u8>),
    /// The beginning of an answer, and the rest of it.
    Begun {
        first: Vec<u8>,
        rest: Exchange,
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
            exchange.completion(&body).map(|_| Ready::Whole(body))
        }
    }
}

/// A JSON answer: a completion or an error.
fn whole(mut exchange: Exchange, first: Vec<u8>) -> Result<Ready, Unanswered> {
    let body = collected(&mut exchange.response, first)?;
    if body.len() > MAX_LOOKED_AT_BYTES {
        return Ok(Ready::Begun {
            first: body,
            rest: exchange,
            form: Form::Json,
        });
    }
    let completion = exchange.completion(&body)?;
    Ok(match exchange.is_streamed {
        true => Ready::Events(as_events(completion).into_bytes()),
        false => Ready::Whole(body),
    })
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
            Some(true) => match events::first(&first, has_ended) {
                First::Error(data) => return Err(exchange.error_in(&data).into()),
                First::Unknown if !has_ended && first.len() < MAX_EVENT_BYTES => {}
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
        rest: exchange,
        form: Form::Events,
    })
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

fn stream(
    headers: Vec<(String, Vec<u8>)>,
    first: &[u8],
    mut exchange: Exchange,
    form: Form,
    reply: Reply,
) {
    let Some(mut body) = reply.begin(exchange.response.status, headers) else {
        return;
    };
    let mut tail = Tail::default();
    let mut errors = Errors::default();
    let mut next = Ok(Some(first.to_vec()));
    loop {
        let replaced = |data: &[u8]| exchange.error_in(data).refusal().0.body().to_string();
        let out = match (&next, form) {
            (Ok(Some(piece)), Form::Events) => errors.push(piece, replaced),
            (Ok(None), Form::Events) => errors.finish(replaced),
            (Ok(Some(piece)), _) => piece.clone(),
            _ => Vec::new(),
        };
        tail.push(&out);
        if !body.write(&out) {
            // The client has left.
            return;
        }
        match next {
            Ok(Some(_)) => next = exchange.response.next_piece(),
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
        } else if is_json(essence) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_and_events_are_readable() {
        assert_eq!(Form::of("application/json; charset=utf-8"), Form::Json);
        assert_eq!(Form::of("application/problem+json"), Form::Json);
        assert_eq!(Form::of("Text/Event-Stream;charset=utf-8"), Form::Events);
        for other in ["", "text/html", "application/jsonp"] {
            assert_eq!(Form::of(other), Form::Other, "{other}");
        }
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
