//! The events of a stream, as far as the router looks at them: whether a stream begins as one does,
//! where an event ends, and which events are errors.

use crate::provider_error::{in_error_event, named};
use serde_json::Value;
use trusted_tool::words;

/// The length in bytes up to which an event is held back.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;
/// The number of bytes of an event within which it shows whether it could be an error.
const MAX_UNDECIDED_BYTES: usize = 256;

/// Whether a stream begins as an event stream does (HTML, section 9.2.5): with a comment, a field
/// that has a meaning, or an empty line. `None` when there is too little to tell.
pub fn begins_with_an_event(stream: &[u8]) -> Option<bool> {
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

/// The kind of the first event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// An error, with these data.
    Error(Vec<u8>),
    /// The event is incomplete and could become an error.
    Unknown,
    /// The event is no error, or its beginning gives no reason to wait for the rest.
    Passes,
}

/// Returns the kind of the first event in the part of a stream that has come.
pub fn first(stream: &[u8], has_ended: bool) -> First {
    let text = plain_lines(stream);
    // Comments keep a connection alive, so a provider that sends one has begun.
    if text.starts_with([':', '\n']) {
        return First::Passes;
    }
    let event = match text.split_once("\n\n") {
        Some((event, _)) => event,
        None if has_ended => &text,
        None if text.contains("\"error\"") || Field::of(&text).is_error() => {
            return First::Unknown;
        }
        None => return First::Passes,
    };
    match error_of(event) {
        Some(error) => First::Error(error.to_string().into_bytes()),
        None => First::Passes,
    }
}

/// The error in the first event of a body, if the body consists of events.
pub fn error_of_first(body: &[u8]) -> Option<Vec<u8>> {
    let body = body.trim_ascii_start();
    match begins_with_an_event(body)? {
        true => match first(body, true) {
            First::Error(error) => Some(error),
            _ => None,
        },
        false => None,
    }
}

/// The error in an event: the one that its data names, or all of its data if the event's type says
/// `error`.
fn error_of(event: &str) -> Option<Value> {
    let data = data_of(event);
    let named = words::parsed(data.trim()).as_ref().and_then(named);
    let is_error = || event.lines().any(|line| Field::of(line).is_error());
    named.or_else(|| is_error().then(|| in_error_event(&data)))
}

fn data_of(event: &str) -> String {
    let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
    data.collect::<Vec<_>>().join("\n")
}

/// The text of a stream with one kind of line end and without a byte order mark.
fn plain_lines(stream: &[u8]) -> String {
    String::from_utf8_lossy(stream)
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n")
}

/// A line of an event: its name and its value, of which the end may be missing.
struct Field<'l> {
    name: &'l str,
    value: Option<&'l str>,
}

impl<'l> Field<'l> {
    fn of(line: &'l str) -> Self {
        let line = line.lines().next().unwrap_or_default();
        let line = line.trim_start_matches('\u{feff}');
        match line.split_once(':') {
            Some((name, value)) => Self {
                name,
                value: Some(value.strip_prefix(' ').unwrap_or(value)),
            },
            None => Self {
                name: line,
                value: None,
            },
        }
    }

    fn is_error(&self) -> bool {
        self.name == "event" && self.value.is_some_and(|value| value.trim() == "error")
    }
}

/// Replaces errors in a stream that have no `error` object: `event: error` with other data, and
/// data that begin as such an error does. Everything else passes at once and unchanged; an error in
/// one of its choices, which clients do not look at, is told again in an event of its own.
#[derive(Default)]
pub struct Errors {
    /// The bytes of an event that could be an error.
    held: Vec<u8>,
    /// The sent part of the current event, up to one byte more than [`MAX_EVENT_BYTES`].
    passed: Vec<u8>,
    /// The start of the current line in `held`, or its length so far if nothing is held.
    line: usize,
    state: State,
    is_after_cr: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// An event has begun, but nothing in it decides its kind.
    #[default]
    Undecided,
    /// The event is no such error.
    Passes,
    /// The line is a comment, after which an event can begin.
    Comment,
    /// The event seems to be an error.
    Held,
}

impl Errors {
    /// Takes the next piece of a stream and returns the bytes that may go out. `replaced` makes the
    /// event's data from an error.
    pub fn push(&mut self, piece: &[u8], replaced: impl Fn(&[u8]) -> String) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for &byte in piece {
            let is_end = byte == b'\r' || byte == b'\n' && !self.is_after_cr;
            let is_rest_of_end = byte == b'\n' && self.is_after_cr;
            self.is_after_cr = byte == b'\r';
            if is_rest_of_end && self.held.is_empty() {
                // The line has ended and gone out.
                out.push(byte);
                continue;
            }
            match self.state {
                State::Passes => {
                    out.push(byte);
                    self.note_passed(&[byte]);
                }
                State::Comment => out.push(byte),
                State::Undecided | State::Held => self.held.push(byte),
            }
            if is_rest_of_end {
                self.line = self.held.len();
            } else if is_end {
                self.end_line(&mut out, &replaced);
            } else {
                self.go_on(&mut out);
            }
        }
        out
    }

    /// The rest that is passed on at the end of the stream.
    pub fn finish(&mut self, replaced: impl Fn(&[u8]) -> String) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(data) = self.error_of_passed(&replaced) {
            // The last event may lack its end.
            out.extend_from_slice(format!("\n\ndata: {data}\n\n").as_bytes());
        }
        self.release(&mut out, &replaced);
        out
    }

    fn note_passed(&mut self, bytes: &[u8]) {
        let room = (MAX_EVENT_BYTES + 1).saturating_sub(self.passed.len());
        self.passed.extend(&bytes[..bytes.len().min(room)]);
    }

    /// The event's data of the error in a choice of the event that went out.
    fn error_of_passed(&mut self, replaced: impl Fn(&[u8]) -> String) -> Option<String> {
        let passed = std::mem::take(&mut self.passed);
        if passed.len() > MAX_EVENT_BYTES {
            return None;
        }
        let event = plain_lines(&passed);
        let is_named = event.contains("\"error\"");
        let error = is_named.then(|| error_in_choice(&event)).flatten()?;
        Some(replaced(error.to_string().as_bytes()))
    }

    fn go_on(&mut self, out: &mut Vec<u8>) {
        match self.state {
            State::Passes | State::Comment => self.line += 1,
            State::Held if self.held.len() > MAX_EVENT_BYTES => self.pass(out, State::Passes),
            State::Held => {}
            State::Undecided if self.held.len() > MAX_UNDECIDED_BYTES => {
                self.pass(out, State::Passes);
            }
            State::Undecided => match line_kind(&self.held[self.line..], false) {
                Kind::Unknown | Kind::Beside => {}
                Kind::Comment => self.pass(out, State::Comment),
                Kind::Error => self.state = State::Held,
                Kind::Other => self.pass(out, State::Passes),
            },
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>, replaced: impl Fn(&[u8]) -> String) {
        match self.state {
            State::Comment => self.begin(),
            State::Passes if self.line == 0 => {
                if let Some(data) = self.error_of_passed(&replaced) {
                    out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
                }
                self.begin();
            }
            State::Passes => self.line = 0,
            State::Undecided | State::Held => {
                let line = self.held[self.line..].trim_ascii_end();
                let kind = line_kind(line, true);
                if line.is_empty() {
                    self.release(out, &replaced);
                } else if kind == Kind::Error || self.state == State::Held {
                    self.state = State::Held;
                    self.line = self.held.len();
                } else if kind == Kind::Beside {
                    self.line = self.held.len();
                } else {
                    self.pass(out, State::Passes);
                    self.line = 0;
                }
            }
        }
    }

    fn begin(&mut self) {
        self.state = State::Undecided;
        self.line = 0;
    }

    fn pass(&mut self, out: &mut Vec<u8>, state: State) {
        self.line = self.held.len() - self.line;
        if state == State::Passes {
            let held = std::mem::take(&mut self.held);
            self.note_passed(&held);
            out.extend(held);
        }
        out.append(&mut self.held);
        self.state = state;
    }

    fn release(&mut self, out: &mut Vec<u8>, replaced: impl Fn(&[u8]) -> String) {
        let held = std::mem::take(&mut self.held);
        let error = (self.state == State::Held)
            .then(|| nameless_error(&plain_lines(&held)))
            .flatten();
        match error {
            Some(error) => {
                let data = replaced(error.to_string().as_bytes());
                out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
            }
            None => out.extend(held),
        }
        self.begin();
    }
}

/// The error in an event whose data lacks the `error` object that clients expect.
fn nameless_error(event: &str) -> Option<Value> {
    let is_error = event.lines().any(|line| Field::of(line).is_error());
    let data = data_of(event);
    let json = words::parsed(data.trim()).filter(Value::is_object);
    match json {
        Some(json) if json.get("error").is_some() => None,
        Some(json) if json.get("choices").is_some() => named(&json),
        Some(json) if is_error || words::told(&json).is_some() => Some(in_error_event(&data)),
        Some(_) => None,
        None => is_error.then(|| in_error_event(&data)),
    }
}

/// Returns the error in a choice of an event whose data contain no error outside the choices.
fn error_in_choice(event: &str) -> Option<Value> {
    let json = words::parsed(data_of(event).trim()).filter(|json| json["choices"].is_array())?;
    named(&json).filter(|error| *error != json)
}

/// The meaning of a line of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Too little of the line has come.
    Unknown,
    /// A field other than the data.
    Beside,
    Comment,
    Error,
    Other,
}

fn line_kind(line: &[u8], is_whole: bool) -> Kind {
    /// The beginnings of data that are an error without an `error` object, without blanks.
    const BEGINNINGS: [&str; 4] = [
        "{\"object\":\"error\"",
        "{\"type\":\"error\"",
        "{\"message\":",
        "{\"detail\":",
    ];
    let line = String::from_utf8_lossy(line);
    let Field { name, value } = Field::of(&line);
    let Some(value) = value else {
        let names = ["event", "id", "retry", "data"];
        return match names.iter().any(|known| known.starts_with(name)) && !is_whole {
            true => Kind::Unknown,
            false => Kind::Other,
        };
    };
    match name {
        "" => Kind::Comment,
        "id" | "retry" => Kind::Beside,
        "event" if Field::of(&line).is_error() && is_whole => Kind::Error,
        "event" if "error".starts_with(value.trim()) && !is_whole => Kind::Unknown,
        "data" => {
            let data: String = value.chars().filter(|it| !it.is_whitespace()).collect();
            let begins = |known: &str| data.starts_with(known);
            let may_begin = |known: &str| known.starts_with(&data);
            if BEGINNINGS.into_iter().any(begins) {
                Kind::Error
            } else if BEGINNINGS.into_iter().any(may_begin) && !is_whole {
                Kind::Unknown
            } else {
                Kind::Other
            }
        }
        _ => Kind::Other,
    }
}

/// The last bytes that went out.
#[derive(Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    /// Remembers the sent bytes.
    pub fn push(&mut self, piece: &[u8]) {
        const KEPT: usize = 4;
        self.0
            .extend_from_slice(&piece[piece.len().saturating_sub(KEPT)..]);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    /// Whether the output ends between two events. An event ends with an empty line (HTML, section
    /// 9.2.5).
    pub fn is_between_events(&self) -> bool {
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
    fn an_error_in_the_first_event_is_found_and_nothing_else_is_held_back() {
        let error = |stream: &str, has_ended| first(stream.as_bytes(), has_ended);
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
        ] {
            assert_eq!(error(stream, false), First::Passes, "{stream}");
        }
    }

    #[test]
    fn an_event_that_names_itself_an_error_is_one_whatever_its_data_are() {
        let error = |stream: &str| first(stream.as_bytes(), false);
        for (stream, data) in [
            (
                "event: error\ndata: {\"message\":\"overloaded\",\"type\":\"overloaded_error\"}\n\n",
                r#"{"message":"overloaded","type":"overloaded_error"}"#,
            ),
            (
                "id: 1\r\nevent:error\r\ndata: no room\r\n\r\n",
                r#"{"error":{"message":"no room"}}"#,
            ),
            (
                "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"error\":{\"message\":\"why\"}}\n\n",
                r#"{"choices":[{"delta":{"content":"x"}}],"error":{"message":"why"}}"#,
            ),
        ] {
            assert_eq!(error(stream), First::Error(data.into()), "{stream}");
        }
        assert_eq!(error("event: error\ndata: {\"mess"), First::Unknown);
        assert_eq!(error("event: errors\ndata: {\"mess"), First::Passes);
    }

    fn relayed(pieces: &[&str]) -> String {
        let replaced = |data: &[u8]| format!("<{}>", String::from_utf8_lossy(data));
        let mut errors = Errors::default();
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(errors.push(piece.as_bytes(), replaced));
        }
        out.extend(errors.finish(replaced));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_later_error_without_an_error_object_is_replaced_however_it_is_split() {
        const DATA: &str = r#"{"message":"overloaded","type":"overloaded_error"}"#;
        for event in [
            format!("event: error\ndata: {DATA}\n\n"),
            format!("event:error\r\ndata:{DATA}\r\n\r\n"),
            format!("id: 7\nevent: error\ndata: {DATA}\n\n"),
            format!("event: error\rdata: {DATA}\r\r"),
            format!("data: {DATA}\n\n"),
        ] {
            let stream = format!("data: {{\"id\":1}}\n\n: alive\n{event}data: [DONE]\n\n");
            let expected = format!("<{DATA}>");
            let whole = relayed(&[&stream]);
            assert!(whole.contains(&expected), "{whole}");
            assert!(
                whole.starts_with("data: {\"id\":1}\n\n: alive\ndata: <"),
                "{whole}"
            );
            assert!(whole.ends_with("data: [DONE]\n\n"), "{whole}");
            let pieces: Vec<_> = stream.split_inclusive("").collect();
            assert_eq!(relayed(&pieces), whole);
        }
        // The stream ends before the event does.
        let cut = relayed(&[&format!("event: error\ndata: {DATA}")]);
        assert_eq!(cut, format!("data: <{DATA}>\n\n"));
        assert_eq!(
            relayed(&["event: error\ndata: no room\n\n"]),
            "data: <{\"error\":{\"message\":\"no room\"}}>\n\n"
        );
    }

    #[test]
    fn a_later_error_in_a_choice_is_told_as_the_streams_however_it_is_split() {
        let chunk = |error: &str| {
            format!(r#"{{"id":"gen-1","choices":[{{"delta":{{"content":""}},{error}}}]}}"#)
        };
        const ERROR: &str = r#""finish_reason":"error","error":{"message":"why","code":502}"#;
        let told = r#"data: <{"error":{"message":"why","code":502}}>"#;
        let first = "data: {\"id\":1}\n\n";
        for (event, ends) in [
            (format!("data: {}\n\n", chunk(ERROR)), true),
            (format!("id: 7\r\ndata: {}\r\n\r\n", chunk(ERROR)), true),
            (format!("event: error\ndata: {}\n\n", chunk(ERROR)), true),
            (format!("data: {}", chunk(ERROR)), false),
        ] {
            let rest = if ends { "data: [DONE]\n\n" } else { "" };
            let stream = format!("{first}{event}{rest}");
            let whole = relayed(&[&stream]);
            assert_eq!(whole.matches(told).count(), 1, "{whole}");
            assert!(
                whole.starts_with(first) && whole.ends_with("\n\n"),
                "{whole}"
            );
            let pieces: Vec<_> = stream.split_inclusive("").collect();
            assert_eq!(relayed(&pieces), whole);
        }
        for error in [
            "\"error\":null",
            "\"error\":{\"message\":\"\"}",
            "\"finish_reason\":null",
        ] {
            let event = format!("data: {}\n\n", chunk(error));
            assert_eq!(relayed(&[first, &event]), format!("{first}{event}"));
        }
        // Errors that clients find by themselves are not repeated, and a very long event is no
        // error.
        let beside =
            format!("data: {{\"error\":{{\"message\":\"why\"}},\"choices\":[{{{ERROR}}}]}}\n\n");
        assert_eq!(relayed(&[&beside]), beside);
        let long = format!(
            "data: {}\n\n",
            chunk(&format!(
                "{ERROR},\"x\":\"{}\"",
                "x".repeat(MAX_EVENT_BYTES)
            ))
        );
        assert_eq!(relayed(&[&long]), long);
    }

    #[test]
    fn every_other_event_passes_at_once_and_byte_for_byte() {
        let mut errors = Errors::default();
        for piece in [
            ": OPENROUTER PROCESSING\n\n",
            "data: {\"id\":\"x\",",
            "\"choices\":[]}\n\n",
            "event: message\r\nid: 7\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n",
            "no event at all \u{0}\n",
            "\ndata: [DONE]\n\n",
            "event: error\ndata: {\"error\":{\"message\":\"why\"}}\n\n",
            "data: {\"message\":1}\n\n",
            "data: your key is ",
            "not yet whole\n\n",
            &format!("data: {}", " ".repeat(2 * MAX_UNDECIDED_BYTES)),
        ] {
            let out = errors.push(piece.as_bytes(), |_| String::new());
            assert_eq!(String::from_utf8_lossy(&out), piece);
        }
        let long = format!("event: error\ndata: {}", "x".repeat(MAX_EVENT_BYTES));
        assert_eq!(
            relayed(&[&long, "\n\ndata: 1\n\n"]),
            format!("{long}\n\ndata: 1\n\n")
        );
    }
}
