//! The framing of HTTP/1.1, read before the library reads it: where heads begin and end, and which
//! of them another reader could take for something else.
//!
//! The library is lenient where proxies differ: it takes a bare LF for the end of a line, and a
//! length beside a transfer coding. Here nothing of that kind passes, so that the two readings of
//! what does pass are the same. Of HTTP/2 nothing is read. What a head says is not looked at,
//! beyond how its body is framed.

/// Why a head, or what frames a body, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// LF without CR before it, or CR without LF behind it.
    LineEnd,
    /// A header that goes on in the next line.
    FoldedLine,
    /// A header without a name, or with something between the name and its colon.
    HeaderName,
    /// A length that is none, or two of them.
    Length,
    /// A transfer coding other than `chunked`, or one beside a length.
    TransferCoding,
    /// A head is longer than the library reads.
    TooLong,
    /// A chunk's size is none.
    Chunk,
}

impl Malformed {
    /// What is wrong, and what to do.
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

/// How far one connection's bytes were read.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    /// Where the line that is being read begins, among the bytes that were not passed.
    line_at: usize,
    /// What this head said of its body so far.
    body: Body,
    /// A head may have so many bytes.
    max_head_bytes: usize,
    head_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// What comes may be HTTP/2.
    Start,
    /// At a request line, or an empty line before it.
    RequestLine,
    Header,
    /// So many bytes of a body, or of a chunk with its end of line, are left.
    Bytes {
        left: u64,
        is_chunk: bool,
    },
    ChunkSize,
    Trailer,
    /// It is HTTP/2, and nothing more is read.
    Http2,
}

#[derive(Clone, Copy, Debug, Default)]
struct Body {
    length: Option<u64>,
    is_chunked: bool,
}

/// What the bytes that were read are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// So many of them can be given to the library: those of bodies and of whole lines.
    pub passed: usize,
    /// How many heads ended among them.
    pub heads: u64,
}

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest line about a chunk, or of a trailer.
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

    /// Whether it is HTTP/2, of which nothing is read here.
    pub(super) fn is_http2(&self) -> bool {
        self.place == Place::Http2
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_amid_head(&self) -> bool {
        self.place == Place::Header
    }

    /// Reads on. `bytes` follow those that were read, and begin with those that were not passed.
    ///
    /// # Errors
    /// What is wrong, and how many heads ended before it. Nothing must be read after that.
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

    /// Whether a line may have so many bytes.
    fn check_length(&self, bytes: usize) -> Result<(), Malformed> {
        match self.is_in_head() {
            true if self.head_bytes + bytes > self.max_head_bytes => Err(Malformed::TooLong),
            false if bytes > CHUNK_LINE_MAX_BYTES => Err(Malformed::Chunk),
            _ => Ok(()),
        }
    }

    /// Takes a line with its end; whether a head ended with it.
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
                    // The data's own end of line.
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

    /// What is passed of these bytes when they come in pieces of `size`, how many heads ended, and
    /// what is wrong.
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
                // The line before the malformed one is the last.
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
