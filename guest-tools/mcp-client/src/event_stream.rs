//! Server-sent events (the WHATWG HTML standard, section 9.2.6), parsed from a body that comes in
//! pieces. The parser does not know what events mean. It has no bounds; its callers do.

/// An event of the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The type; `message` where the stream names none.
    pub kind: String,
    /// The data lines, joined.
    pub data: String,
    /// The data with the lines after it that have no field, if there are any. Some servers write
    /// `data:` only before the first line of a longer text.
    pub unmarked: Option<String>,
}

/// The state of a stream so far.
#[derive(Debug, Default)]
pub struct EventStream {
    /// The bytes of a line that has not ended.
    line: Vec<u8>,
    /// Whether the last byte was a CR, which an LF may follow.
    after_cr: bool,
    is_begun: bool,
    kind: String,
    data: Option<String>,
    unmarked: Option<String>,
    /// The last id of the stream. A broken stream is resumed after it.
    pub last_id: Option<String>,
    /// The wait before resuming, in milliseconds, if the stream named one.
    pub retry_ms: Option<u64>,
}

impl EventStream {
    /// Takes a piece and returns the events that it completes.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in piece {
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line));
                }
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// Ends the stream. Returns the event that has no blank line after it, as some servers end
    /// their last one. The standard drops such an event, because its data may be cut off; the
    /// caller must be able to tell.
    pub fn finish(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_line(&line);
        }
        self.dispatch()
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Event> {
        // A byte order mark may stand before the first line.
        let line = match std::mem::replace(&mut self.is_begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            true => line,
        };
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if let Some(unmarked) = &mut self.unmarked {
                    append_line(unmarked, value);
                }
                match &mut self.data {
                    Some(data) => append_line(data, value),
                    None => self.data = Some(value.to_owned()),
                }
            }
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok();
            }
            // The line is a comment.
            "" => {}
            // The standard does not know this field.
            _ => {
                if let Some(data) = &self.data {
                    let unmarked = self.unmarked.get_or_insert_with(|| data.clone());
                    append_line(unmarked, &line);
                }
            }
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let unmarked = self.unmarked.take();
        let data = self.data.take()?;
        let kind = match kind.is_empty() {
            true => "message".to_owned(),
            false => kind,
        };
        Some(Event {
            kind,
            data,
            unmarked,
        })
    }
}

fn append_line(text: &mut String, line: &str) {
    text.push('\n');
    text.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\nid: 1\ndata:\n\nevent: endpoint\r\ndata: /post?é=1\r\n\r\nretry: 250\rdata: {\"a\":\rdata:  1}\r\rid: 2\ndata: last\n\nevent: empty\n\ndata: not ended\n";

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.to_owned(),
            unmarked: None,
        }
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_events() {
        let expected = [
            event("message", ""),
            event("endpoint", "/post?é=1"),
            event("message", "{\"a\":\n 1}"),
            event("message", "last"),
        ];
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut stream = EventStream::default();
            let events: Vec<Event> = bytes.chunks(size).flat_map(|it| stream.feed(it)).collect();
            assert_eq!(events, expected, "in pieces of {size}");
            assert_eq!(stream.last_id.as_deref(), Some("2"));
            assert_eq!(stream.retry_ms, Some(250));
        }
    }

    #[test]
    fn the_last_event_may_lack_its_blank_line() {
        for end in ["", "\n", "\r", "\r\n", "\n\n"] {
            let mut stream = EventStream::default();
            let mut events = stream.feed(format!("event: a\ndata: 1{end}").as_bytes());
            events.extend(stream.finish());
            assert_eq!(events, [event("a", "1")], "{end:?}");
            assert_eq!(stream.finish(), None, "{end:?}");
        }
    }

    #[test]
    fn lines_after_data_that_have_no_field_are_kept_beside_it() {
        let mut stream = EventStream::default();
        let events = stream.feed(b"data: {\n  \"a\": 1,\n: comment\n}\n\ndata: 2\n\n");
        let mut first = event("message", "{");
        first.unmarked = Some("{\n  \"a\": 1,\n}".to_owned());
        assert_eq!(events, [first, event("message", "2")]);
        assert_eq!(stream.feed(b"lost\n\n"), []);
    }

    #[test]
    fn what_the_standard_ignores_is_ignored() {
        let mut stream = EventStream::default();
        let text = "id: a\nid: b\0c\nretry: soon\nretry: -1\nnonsense\ndata\n\n";
        assert_eq!(stream.feed(text.as_bytes()), [event("message", "")]);
        assert_eq!(stream.last_id.as_deref(), Some("a"));
        assert_eq!(stream.retry_ms, None);
        assert_eq!(
            stream.feed(b"data: \xff\n\n"),
            [event("message", "\u{fffd}")]
        );
    }
}
