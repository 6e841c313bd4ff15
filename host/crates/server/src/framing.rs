//! Reads the framing of HTTP/1.1 before hyper does: where heads begin and end, and which heads
//! another parser could read in a different way.
//!
//! Hyper is lenient where proxies differ: it takes a bare LF for the end of a line, and a length
//! beside a transfer coding. This module refuses both, so that every parser reads the remaining
//! requests in the same way. It does not read HTTP/2. Of a head it reads only how the body is
//! framed.

/// Why a head, or the framing of a body, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// LF without CR before it, or CR without LF after it.
    LineEnd,
    /// A header that continues on the next line.
    FoldedLine,
    /// A header without a name, or with something between the name and its colon.
    HeaderName,
    /// A length that is no number, or two lengths.
    Length,
    /// A transfer coding other than `chunked`, or one beside a length.
    TransferCoding,
    /// A head is longer than hyper reads.
    TooLong,
    /// A chunk's size is no hexadecimal number.
    Chunk,
}

impl Malformed {
    /// Says what is wrong and how to correct it.
    pub fn message(self) -> &'static str {
        match self {
            Self::LineEnd => "a line of the head does not end with CR LF; end each line so",
            Self::FoldedLine => "a header goes on in the next line; write it in one",
            Self::HeaderName => "a header's name is empty or not followed by its colon; correct it",
            Self::Length => "Content-Length is no number, or there are two of it; give one",
            Self::TransferCoding => {
                "Transfer-Encoding can be chunked alone, without Content-Length; send it so"
            }
            Self::TooLong => "the head is far longer than server.limits allows; send fewer headers",
            Self::Chunk => "a chunk of the body has no size in hexadecimal digits; correct it",
        }
    }
}

/// The parser's position in the bytes of one connection.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    /// The start of the current line, as an offset into the bytes that were not passed on.
    line_at: usize,
    /// The framing of the current body, as far as its head has been read.
    body: Body,
    /// The most bytes in a head.
    max_head_bytes: usize,
    head_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The beginning of the connection, which may be HTTP/2.
    Start,
    /// A request line, or an empty line before it.
    RequestLine,
    Header,
    /// In a body, or in a chunk with its line end, with this many bytes left.
    Bytes {
        left: u64,
        is_chunk: bool,
    },
    ChunkSize,
    Trailer,
    /// The connection is HTTP/2. Nothing more is read.
    Http2,
}

#[derive(Clone, Copy, Debug, Default)]
struct Body {
    length: Option<u64>,
    is_chunked: bool,
}

/// The result of reading some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// The number of bytes that can be passed to hyper: those of bodies and of whole lines.
    pub passed: usize,
    /// The number of heads that ended in the bytes.
    pub heads: u64,
}

/// The first bytes of an HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest line of a chunk's size or of a trailer.
const CHUNK_LINE_MAX_BYTES: usize = 8_192;

impl Framing {
    pub(super) fn new(max_head_bytes: usize) -> Self {
        Self {
            place: Place::Start,
            line_at: 0,
            body: Body::default(),
            max_head_bytes,
            head_bytes: 0,
        }
    }

    /// Whether the connection is HTTP/2, which this module does not read.
    pub(super) fn is_http2(&self) -> bool {
        self.place == Place::Http2
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_amid_head(&self) -> bool {
        self.place == Place::Header
    }

    /// Reads the last `unread` bytes of `bytes`. The bytes before them are those that were read
    /// earlier but not passed on.
    ///
    /// # Errors
    /// The fault, and how many heads ended before it. Nothing may be read after an error.
    pub(super) fn read(&mut self, bytes: &[u8], unread: usize) -> Result<Read, (Malformed, Read)> {
        let mut read = Read {
            passed: 0,
            heads: 0,
        };
        let (mut at, mut line_at) = (bytes.len() - unread, self.line_at);
        if self.place == Place::Start {
            let is_http2 = PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())]);
            if is_http2 && bytes.len() < PREFACE.len() {
                return Ok(read);
            }
            self.place = match is_http2 {
                true => Place::Http2,
                false => Place::RequestLine,
            };
            at = 0;
        }
        while at < bytes.len() {
            match self.place {
                Place::Start | Place::Http2 => {
                    at = bytes.len();
                    read.passed = at;
                }
                Place::Bytes { left, is_chunk } => {
                    let here =
                        usize::try_from(left).map_or(bytes.len(), |left| at.saturating_add(left));
                    let end = here.min(bytes.len());
                    let left = left - (end - at) as u64;
                    at = end;
                    read.passed = at;
                    self.place = match (left, is_chunk) {
                        (0, false) => Place::RequestLine,
                        (0, true) => Place::ChunkSize,
                        (left, is_chunk) => Place::Bytes { left, is_chunk },
                    };
                }
                _ => {
                    let end = bytes[at..].iter().position(|byte| *byte == b'\n');
                    at = end.map_or(bytes.len(), |end| at + end + 1);
                    let line = &bytes[line_at..at];
                    self.check_length(line.len())
                        .map_err(|malformed| (malformed, read))?;
                    if end.is_none() {
                        break;
                    }
                    let ended = self.end_line(line).map_err(|malformed| (malformed, read))?;
                    read.heads += u64::from(ended);
                    read.passed = at;
                }
            }
            line_at = at;
        }
        self.line_at = line_at - read.passed;
        Ok(read)
    }

    fn is_in_head(&self) -> bool {
        matches!(self.place, Place::RequestLine | Place::Header)
    }

    /// Checks the length of a line so far.
    fn check_length(&self, bytes: usize) -> Result<(), Malformed> {
        match self.is_in_head() {
            true if self.head_bytes + bytes > self.max_head_bytes => Err(Malformed::TooLong),
            false if bytes > CHUNK_LINE_MAX_BYTES => Err(Malformed::Chunk),
            _ => Ok(()),
        }
    }

    /// Reads a line with its end. Returns whether a head ended with it.
    fn end_line(&mut self, line: &[u8]) -> Result<bool, Malformed> {
        let wrong_end = match self.is_in_head() {
            true => Malformed::LineEnd,
            false => Malformed::Chunk,
        };
        let text = line.strip_suffix(b"\r\n").ok_or(wrong_end)?;
        if text.contains(&b'\r') {
            return Err(wrong_end);
        }
        match self.place {
            // Empty lines before a request are skipped (RFC 9112, 2.2).
            Place::RequestLine if text.is_empty() => {}
            Place::RequestLine => {
                self.head_bytes = line.len();
                self.body = Body::default();
                self.place = Place::Header;
            }
            Place::Header if text.is_empty() => {
                self.place = match self.body {
                    Body {
                        is_chunked: true, ..
                    } => Place::ChunkSize,
                    Body {
                        length: None | Some(0),
                        ..
                    } => Place::RequestLine,
                    Body {
                        length: Some(left), ..
                    } => Place::Bytes {
                        left,
                        is_chunk: false,
                    },
                };
                self.head_bytes = 0;
                return Ok(true);
            }
            Place::Header => {
                self.head_bytes += line.len();
                self.take_header(text)?;
            }
            Place::ChunkSize => {
                let digits = text.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = hexadecimal(digits).ok_or(Malformed::Chunk)?;
                self.place = match size {
                    0 => Place::Trailer,
                    // Two more, for the line end after the data.
                    size => Place::Bytes {
                        left: size.checked_add(2).ok_or(Malformed::Chunk)?,
                        is_chunk: true,
                    },
                };
            }
            Place::Trailer if text.is_empty() => self.place = Place::RequestLine,
            Place::Trailer | Place::Start | Place::Bytes { .. } | Place::Http2 => {}
        }
        Ok(false)
    }

    fn take_header(&mut self, text: &[u8]) -> Result<(), Malformed> {
        if text.starts_with(b" ") || text.starts_with(b"\t") {
            return Err(Malformed::FoldedLine);
        }
        let colon = text.iter().position(|byte| *byte == b':');
        let (name, value) = text.split_at(colon.ok_or(Malformed::HeaderName)?);
        let value = value[1..].trim_ascii();
        let is_visible = |byte: &u8| byte.is_ascii_graphic();
        if name.is_empty() || !name.iter().all(is_visible) {
            return Err(Malformed::HeaderName);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(Malformed::Length)?;
            if self.body.length.replace(length).is_some() {
                return Err(Malformed::Length);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_second = std::mem::replace(&mut self.body.is_chunked, true);
            if is_second || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::TransferCoding);
            }
        }
        match self.body {
            Body {
                length: Some(_),
                is_chunked: true,
            } => Err(Malformed::TransferCoding),
            _ => Ok(()),
        }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_plain
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes in pieces of `size`. Returns the bytes that were passed on, the number of
    /// heads that ended, and the fault.
    fn read(bytes: &[u8], size: usize) -> (Vec<u8>, u64, Option<Malformed>) {
        let mut framing = Framing::new(1_000);
        let (mut passed, mut held, mut heads) = (Vec::new(), Vec::new(), 0);
        for piece in bytes.chunks(size) {
            held.extend_from_slice(piece);
            let (read, malformed) = match framing.read(&held, piece.len()) {
                Ok(read) => (read, None),
                Err((malformed, read)) => (read, Some(malformed)),
            };
            passed.extend(held.drain(..read.passed));
            heads += read.heads;
            if malformed.is_some() {
                return (passed, heads, malformed);
            }
        }
        (passed, heads, None)
    }

    #[test]
    fn what_is_sound_passes_whole_however_it_is_split() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1),
            (
                "\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\nHost:x\r\n\r\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\n\rbGET / HTTP/1.1\r\n\r\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\n\n\r\n\r\n0A\r\n0123456789\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                2,
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n anything", 0),
            ("PRI * HTTP/1.1\r\n\r\n", 1),
        ] {
            for size in 1..=text.len() {
                let all = (text.as_bytes().to_vec(), expected, None);
                assert_eq!(read(text.as_bytes(), size), all, "{size}: {text:?}");
            }
        }
    }

    #[test]
    fn what_two_readers_take_for_different_things_is_refused_and_not_passed() {
        use Malformed::*;
        let head = "POST / HTTP/1.1\r\n";
        for (rest, malformed) in [
            ("Host: x\n\r\n", LineEnd),
            ("Host: x\r\n\n", LineEnd),
            ("Host: x\rGET: y\r\n\r\n", LineEnd),
            ("Host: x\r\r\n\r\n", LineEnd),
            ("A: b\r\n c\r\n\r\n", FoldedLine),
            ("A: b\r\n\tc\r\n\r\n", FoldedLine),
            ("A : b\r\n\r\n", HeaderName),
            (": b\r\n\r\n", HeaderName),
            ("A\r\n\r\n", HeaderName),
            ("Content-Length: +4\r\n\r\n", Length),
            ("Content-Length: 4, 4\r\n\r\n", Length),
            ("Content-Length: 4\r\ncontent-length: 4\r\n\r\n", Length),
            ("Content-Length: 99999999999999999999\r\n\r\n", Length),
            ("Content-Length: \r\n\r\n", Length),
            ("Transfer-Encoding: gzip\r\n\r\n", TransferCoding),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", TransferCoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                TransferCoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
                TransferCoding,
            ),
            (
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
                TransferCoding,
            ),
        ] {
            let before = "GET / HTTP/1.1\r\n\r\n";
            let text = format!("{before}{head}{rest}");
            for size in 1..=text.len() {
                let (passed, heads, found) = read(text.as_bytes(), size);
                assert_eq!((heads, found), (1, Some(malformed)), "{size}: {text:?}");
                assert!(text.as_bytes().starts_with(&passed), "{size}: {text:?}");
                // The last bytes passed on are the line before the malformed one.
                assert!(passed.ends_with(b"\r\n") && passed.len() < text.len());
            }
        }
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (rest, malformed) in [
            ("x\r\n", Chunk),
            ("\r\n", Chunk),
            ("-1\r\n", Chunk),
            ("fffffffffffffffff\r\n", Chunk),
            ("1 \r\n", Chunk),
            ("1\n", Chunk),
        ] {
            let text = format!("{chunked}{rest}");
            let expected = (chunked.as_bytes().to_vec(), 1, Some(malformed));
            assert_eq!(read(text.as_bytes(), text.len()), expected, "{text:?}");
        }
    }

    #[test]
    fn what_goes_on_too_long_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(1_100));
        let expected = (0, Some(Malformed::TooLong));
        let refused = |text: &str, size| {
            let (_, heads, malformed) = read(text.as_bytes(), size);
            (heads, malformed)
        };
        assert_eq!(refused(&long, 100), expected);
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(200));
        assert_eq!(refused(&many, 7), expected);
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let long = format!("{chunked}1;{}", "x".repeat(9_000));
        assert_eq!(refused(&long, 1_000), (1, Some(Malformed::Chunk)));
    }
}
