//! The content of a body: messages as JSON or as a stream of events, or the words of an error.

use serde_json::Value;
use trusted_tool::json;

use crate::event_stream::{Event, EventStream};
use crate::message::{self, Message, Reply};
use crate::words;

/// The fields of an event; a stream begins with one. The empty name is a comment.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b":"];

/// The content of a JSON body, as seen by a request.
pub enum Found {
    /// The reply to the request.
    Reply(Reply),
    /// Messages, none of which replies to the request.
    Others,
    /// No message.
    Nothing,
}

/// The messages in a whole body of either form, and its events that are no messages.
pub fn messages_of(body: &[u8], awaited: u64) -> (Vec<Message>, Vec<Event>) {
    if !is_event(beginning(body)) {
        return (message::parse(body, awaited).unwrap_or_default(), vec![]);
    }
    let mut stream = EventStream::default();
    let mut events = stream.feed(body);
    events.extend(stream.finish());
    let (mut messages, mut others) = (Vec::new(), Vec::new());
    for event in events {
        match messages_in(&event, awaited) {
            Some(found) => messages.extend(found),
            None => others.push(event),
        }
    }
    (messages, others)
}

/// Whether text begins a stream of events.
pub fn is_event(begun: &[u8]) -> bool {
    FIELDS.iter().any(|field| begun.starts_with(field))
}

/// Whether a body may be JSON or events, as far as its beginning shows.
pub fn may_hold_messages(body: &[u8]) -> bool {
    let begun = beginning(body);
    is_event(begun) || begun.first().is_some_and(|it| b"{[".contains(it))
}

/// The body after a byte order mark and white space.
pub fn beginning(body: &[u8]) -> &[u8] {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.trim_ascii_start()
}

/// Returns the content of a JSON body for the request `awaited`. An answer belongs to one request,
/// so a reply without an id replies to that request.
pub fn reply_in(body: &[u8], awaited: u64) -> Found {
    let Some(messages) = message::parse(body, awaited) else {
        return Found::Nothing;
    };
    let mut found = Found::Others;
    for message in messages {
        match message {
            Message::Reply(reply) => return Found::Reply(reply),
            Message::Unaddressed(reply) => found = Found::Reply(reply),
            Message::Request { .. } | Message::Other => {}
        }
    }
    found
}

/// The messages in an event. `None` where there is none.
pub fn messages_in(event: &Event, awaited: u64) -> Option<Vec<Message>> {
    let texts = [Some(&event.data), event.unmarked.as_ref()];
    let mut texts = texts.into_iter().flatten();
    texts.find_map(|text| message::parse(text.as_bytes(), awaited))
}

/// The words of an event that is no message but tells of an error.
pub fn words_of_error(event: &Event) -> Option<String> {
    let text = event.unmarked.as_ref().unwrap_or(&event.data).as_bytes();
    let is_error = event.kind == "error"
        || json::read::<Value>(text)
            .is_ok_and(|it| it.get("error").is_some_and(message::says_something));
    is_error
        .then(|| words::in_body(text))
        .filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_in_an_event_of_any_form() {
        let reply = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
        for text in [
            format!("data: {reply}\n\n"),
            format!("data: {reply}\n"),
            format!("data: {reply}\r\n"),
            format!("data: {reply}"),
            format!("data: {}\n\n", reply.replace(',', ",\n  ")),
            format!("data: {}\r\n", reply.replace(',', ",\r\n  ")),
            format!("data: {}\n\n", reply.replace(',', ",\ndata: ")),
        ] {
            let mut stream = EventStream::default();
            let mut events = stream.feed(text.as_bytes());
            events.extend(stream.finish());
            let messages = messages_in(&events[0], 7);
            let expected = vec![Message::Reply(Reply::Result(serde_json::Map::new()))];
            assert_eq!(messages, Some(expected), "{text:?}");
        }
        // An event that was cut off is no message.
        let mut stream = EventStream::default();
        stream.feed(format!("data: {}\n", &reply[..30]).as_bytes());
        let event = stream.finish().expect("an event");
        assert_eq!(messages_in(&event, 7), None);
    }

    #[test]
    fn an_event_that_tells_of_an_error_has_words() {
        let told = |text: &str| {
            let mut stream = EventStream::default();
            let mut events = stream.feed(text.as_bytes());
            events.extend(stream.finish());
            words_of_error(&events[0])
        };
        for text in [
            "event: error\ndata: no room\n\n",
            "event: error\ndata: {\"message\":\"no room\"}\n",
            "data: {\"error\":{\"message\":\"no room\"}}\n\n",
            "data: {\n\"error\": \"no room\"\n}\n\n",
        ] {
            assert_eq!(told(text).as_deref(), Some("no room"), "{text}");
        }
        for text in [
            "data: no room\n\n",
            "event: ping\ndata: 7\n\n",
            "data: {\"error\":null}\n\n",
            "event: error\ndata:\n\n",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
