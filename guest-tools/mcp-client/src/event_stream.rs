//! Server-sent events (the WHATWG HTML standard, section 9.2.6), parsed from a body that comes in
//! pieces. The parser does not know what events mean. It has no bounds; its callers do.

/// An event of the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The type; `message` where the stream names none.
    pub kind: String,
    /// The data lines, joined.
    pub data: String,
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
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok();
            }
            // The line is a comment, whose field is empty, or a field that the standard does not
            // know.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let data = self.data.take()?;
        let kind = match kind.is_empty() {
            true => "message".to_owned(),
            false => kind,
        };
        Some(Event { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\nid: 1\ndata:\n\nevent: endpoint\r\ndata: /post?é=1\r\n\r\nretry: 250\rdata: {\"a\":\rdata:  1}\r\rid: 2\ndata: last\n\nevent: empty\n\ndata: not ended\n";

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.to_owned(),
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
