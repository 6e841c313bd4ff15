//! The spellings of a character in a text: as itself, or as an escape of JSON, of a URL, of HTML,
//! of mail or of a program's string. The characters of an escape can be escaped again, up to
//! [`MAX_DEPTH`].
//!
//! This module knows no secret. It tells which meanings a place of a text can have, and where each
//! spelling ends.

mod glance;

use std::ops::Range;

pub(super) use self::glance::{Glance, glance};

/// The depth to which nested escapes are read. JSON in a string of JSON has depth 2.
const MAX_DEPTH: usize = 4;
/// The longest spelling of one character, in bytes. A longer escape is ignored.
pub(super) const MAX_SPELLING_BYTES: usize = 64;
/// The characters after an escape can be read in two ways at each depth but the first.
const MAX_MEANINGS: usize = 1 << MAX_DEPTH;
/// The most digits in a numeric character reference of HTML, leading zeros included.
const MAX_REFERENCE_DIGITS: usize = 8;

/// One meaning of the text at a place: a character, a byte, or nothing (a soft line break).
#[derive(Clone, Copy, Default)]
pub(super) struct Spelled {
    bytes: [u8; 4],
    len: u8,
    /// The offset where the spelling ends.
    pub(super) end: usize,
}

impl Spelled {
    pub(super) fn byte(byte: u8, end: usize) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            len: 1,
            end,
        }
    }

    fn character(character: char, end: usize) -> Self {
        let mut bytes = [0; 4];
        let len = character.encode_utf8(&mut bytes).len() as u8;
        Self { bytes, len, end }
    }

    fn nothing(end: usize) -> Self {
        Self {
            end,
            ..Self::default()
        }
    }

    /// The bytes that the spelling means.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn ascii(&self) -> Option<u8> {
        (self.len == 1).then_some(self.bytes[0])
    }
}

/// All meanings of one place, the plain byte first.
#[derive(Default)]
pub(super) struct Spellings {
    all: [Spelled; MAX_MEANINGS],
    len: usize,
    /// The text ends inside a possible further escape.
    pub(super) is_cut: bool,
}

impl Spellings {
    fn push(&mut self, spelled: Spelled) {
        self.all[self.len] = spelled;
        self.len += 1;
    }

    pub(super) fn as_slice(&self) -> &[Spelled] {
        &self.all[..self.len]
    }
}

/// Why no escape was read.
enum Failure {
    /// There is no escape.
    No,
    /// There is an escape only if nested escapes are decoded first.
    Deeper,
    /// The text ends inside a possible escape.
    Cut,
}

/// Whether an escape can begin with this byte.
pub(super) const fn begins_escape(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'&' | b'=' | b'+' | b'\r')
}

/// Returns every meaning of the text at `at`.
pub(super) fn spellings(text: &[u8], at: usize) -> Spellings {
    let mut found = Spellings::default();
    match text.get(at) {
        None => found.is_cut = true,
        Some(&byte) if !begins_escape(byte) => found.push(Spelled::byte(byte, at + 1)),
        Some(&byte) => {
            found.push(Spelled::byte(byte, at + 1));
            let deepest = read(text, at, MAX_DEPTH, |spelled| found.push(spelled));
            found.is_cut = deepest.is_err();
        }
    }
    found
}

/// Whether the text at `at` has an escape with a meaning of this kind, or could have one once more
/// text follows.
pub(super) fn can_mean(text: &[u8], at: usize, is_of_kind: impl Fn(&Spelled) -> bool) -> bool {
    let mut found = false;
    let deepest = read(text, at, MAX_DEPTH, |spelled| found |= is_of_kind(&spelled));
    found || deepest.is_err()
}

/// Returns the deepest meaning of the text at `at`, decoding escapes to the given depth. Passes
/// every meaning on the way to `each`, except the plain byte.
fn read(
    text: &[u8],
    at: usize,
    depth: usize,
    mut each: impl FnMut(Spelled),
) -> Result<Spelled, Failure> {
    let byte = *text.get(at).ok_or(Failure::Cut)?;
    if !begins_escape(byte) {
        return Ok(Spelled::byte(byte, at + 1));
    }
    read_on(text, at, Spelled::byte(byte, at + 1), 0..depth, &mut each)
}

/// Continues `read` from the meaning `deepest`.
fn read_on(
    text: &[u8],
    at: usize,
    mut deepest: Spelled,
    depths: Range<usize>,
    each: &mut dyn FnMut(Spelled),
) -> Result<Spelled, Failure> {
    let fits = |spelled: &Spelled| spelled.end - at <= MAX_SPELLING_BYTES;
    let mut is_cut = false;
    for inner in depths.clone() {
        let Some(first) = deepest.ascii().filter(|byte| begins_escape(*byte)) else {
            break;
        };
        let next = text.get(deepest.end).copied();
        let mut as_it_is = None;
        if inner > 0
            && next.is_some_and(begins_escape)
            && let Ok(spelled) = escape(text, first, deepest.end, 0)
            && fits(&spelled)
        {
            // The next escape may be meant literally: `%5C\u0041` is `\\u0041`.
            each(spelled);
            as_it_is = Some(read_on(text, at, spelled, inner + 1..depths.end, each));
        }
        is_cut |= matches!(as_it_is, Some(Err(_)));
        match (escape(text, first, deepest.end, inner), as_it_is) {
            (Err(Failure::No), Some(as_it_is)) => return as_it_is,
            (Ok(spelled), _) if fits(&spelled) => {
                deepest = spelled;
                each(spelled);
            }
            (Ok(_) | Err(Failure::No), _) => break,
            (Err(Failure::Deeper), _) => {}
            (Err(Failure::Cut), _) => {
                is_cut |= text.len() - at < MAX_SPELLING_BYTES;
                break;
            }
        }
    }
    if is_cut {
        Err(Failure::Cut)
    } else {
        Ok(deepest)
    }
}

/// Reads the escape that begins with `first` and continues at `at`. Its own characters are decoded
/// to the given depth.
fn escape(text: &[u8], first: u8, at: usize, depth: usize) -> Result<Spelled, Failure> {
    match first {
        b'+' => Ok(Spelled::byte(b' ', at)),
        b'\r' => match ascii(text, at, depth)? {
            (b'\n', end) => Ok(Spelled::byte(b'\n', end)),
            (other, _) => Err(refused(other)),
        },
        b'%' => match ascii(text, at, depth) {
            // The form that JavaScript's `escape` writes.
            Ok((b'u' | b'U', at)) => {
                let (code, end) = hex(text, at, 4, depth)?;
                character(code, end)
            }
            _ => hex_byte(text, at, depth),
        },
        b'=' => match ascii(text, at, depth)? {
            (b'\n', end) => Ok(Spelled::nothing(end)),
            (b'\r', end) => match ascii(text, end, depth)? {
                (b'\n', end) => Ok(Spelled::nothing(end)),
                (other, _) => Err(refused(other)),
            },
            _ => hex_byte(text, at, depth),
        },
        b'&' => reference(text, at, depth),
        _ => backslash(text, at, depth),
    }
}

fn backslash(text: &[u8], at: usize, depth: usize) -> Result<Spelled, Failure> {
    let (kind, at) = ascii(text, at, depth)?;
    match kind {
        b'\\' | b'/' | b'"' | b'\'' => Ok(Spelled::byte(kind, at)),
        b'n' => Ok(Spelled::byte(b'\n', at)),
        b'r' => Ok(Spelled::byte(b'\r', at)),
        b't' => Ok(Spelled::byte(b'\t', at)),
        b'b' => Ok(Spelled::byte(0x08, at)),
        b'f' => Ok(Spelled::byte(0x0c, at)),
        b'x' => hex_byte(text, at, depth),
        b'U' => {
            let (code, end) = hex(text, at, 8, depth)?;
            character(code, end)
        }
        b'u' => match ascii(text, at, depth)? {
            (b'{', at) => braced(text, at, depth),
            _ => utf16(text, at, depth),
        },
        b'0'..=b'7' => octal(kind, text, at, depth),
        other => Err(refused(other)),
    }
}

/// `\163`, up to three digits, as C, Python and shells write it.
fn octal(first: u8, text: &[u8], mut at: usize, depth: usize) -> Result<Spelled, Failure> {
    let mut code = digit(first, 8)?;
    for _ in 0..2 {
        let (byte, end) = match ascii(text, at, depth) {
            Ok((byte @ b'0'..=b'7', end)) => (byte, end),
            Err(Failure::Cut) => return Err(Failure::Cut),
            _ => break,
        };
        code = code << 3 | digit(byte, 8)?;
        at = end;
    }
    let byte = u8::try_from(code).map_err(|_| Failure::No)?;
    Ok(Spelled::byte(byte, at))
}

/// `\u{1f600}`, as Rust and JavaScript write it.
fn braced(text: &[u8], mut at: usize, depth: usize) -> Result<Spelled, Failure> {
    let mut code = 0;
    for _ in 0..=6 {
        let (byte, end) = ascii(text, at, depth)?;
        match byte {
            b'}' => return character(code, end),
            byte => code = code << 4 | digit(byte, 16)?,
        }
        at = end;
    }
    Err(Failure::No)
}

/// `\u0041`. A character beyond the first 65,536 takes two of these.
fn utf16(text: &[u8], at: usize, depth: usize) -> Result<Spelled, Failure> {
    let (first, end) = hex(text, at, 4, depth)?;
    if !(0xd800..0xdc00).contains(&first) {
        return character(first, end);
    }
    let mut at = end;
    for expected in *b"\\u" {
        let (byte, end) = ascii(text, at, depth)?;
        if byte != expected {
            return Err(refused(byte));
        }
        at = end;
    }
    let (second, end) = hex(text, at, 4, depth)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(Failure::No);
    }
    character(0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00)), end)
}

/// A character reference of HTML: by number, or by one of the names that every encoder knows.
fn reference(text: &[u8], at: usize, depth: usize) -> Result<Spelled, Failure> {
    let (first, after) = ascii(text, at, depth)?;
    if first != b'#' {
        return named(text, first, after, depth);
    }
    let (radix, mut at) = match ascii(text, after, depth)? {
        (b'x' | b'X', at) => (16, at),
        _ => (10, after),
    };
    let mut code: u32 = 0;
    for count in 0..=MAX_REFERENCE_DIGITS {
        let (byte, end) = match ascii(text, at, depth) {
            Err(Failure::No) if count > 0 => return character(code, at),
            read => read?,
        };
        match byte {
            b';' if count > 0 => return character(code, end),
            // HTML parsers also accept a reference without its semicolon.
            b'&' if count > 0 => return character(code, at),
            _ if count > 0 && !begins_escape(byte) && digit(byte, radix).is_err() => {
                return character(code, at);
            }
            byte => {
                code = code
                    .saturating_mul(radix)
                    .saturating_add(digit(byte, radix)?)
            }
        }
        at = end;
    }
    Err(Failure::No)
}

/// Reads a named reference. The first character is read once and not once for each name, because in
/// a text of ampersands each one may begin a name at each depth.
fn named(text: &[u8], first: u8, after: usize, depth: usize) -> Result<Spelled, Failure> {
    let rests: &[(&[u8], u8)] = match first {
        b'a' => &[(b"mp;", b'&'), (b"pos;", b'\'')],
        b'l' => &[(b"t;", b'<')],
        b'g' => &[(b"t;", b'>')],
        b'q' => &[(b"uot;", b'"')],
        other => return Err(refused(other)),
    };
    let mut failure = Failure::No;
    for (rest, meaning) in rests {
        match literal(text, after, rest, depth) {
            Ok(end) => return Ok(Spelled::byte(*meaning, end)),
            Err(Failure::No) => {}
            Err(other) => failure = other,
        }
    }
    Err(failure)
}

fn literal(text: &[u8], mut at: usize, word: &[u8], depth: usize) -> Result<usize, Failure> {
    for expected in word {
        let (byte, end) = ascii(text, at, depth)?;
        if byte != *expected {
            return Err(refused(byte));
        }
        at = end;
    }
    Ok(at)
}

fn hex_byte(text: &[u8], at: usize, depth: usize) -> Result<Spelled, Failure> {
    let (code, end) = hex(text, at, 2, depth)?;
    Ok(Spelled::byte(code as u8, end))
}

fn hex(text: &[u8], mut at: usize, digits: u32, depth: usize) -> Result<(u32, usize), Failure> {
    let mut code = 0;
    for _ in 0..digits {
        let (byte, end) = ascii(text, at, depth)?;
        code = code << 4 | digit(byte, 16)?;
        at = end;
    }
    Ok((code, at))
}

fn digit(byte: u8, radix: u32) -> Result<u32, Failure> {
    char::from(byte)
        .to_digit(radix)
        .ok_or_else(|| refused(byte))
}

fn character(code: u32, end: usize) -> Result<Spelled, Failure> {
    let character = char::from_u32(code).ok_or(Failure::No)?;
    Ok(Spelled::character(character, end))
}

/// Reads one character of an escape. Returns it with the offset where it ends.
fn ascii(text: &[u8], at: usize, depth: usize) -> Result<(u8, usize), Failure> {
    let spelled = match text.get(at) {
        Some(&byte) if !begins_escape(byte) => return Ok((byte, at + 1)),
        _ => read(text, at, depth, |_| ())?,
    };
    match spelled.ascii().ok_or(Failure::No)? {
        // No escape contains these characters, unless they begin a nested escape.
        b'%' | b'&' | b'=' | b'+' if !can_begin(&text[at..]) => Err(Failure::No),
        byte => Ok((byte, spelled.end)),
    }
}

/// Whether an escape can begin here, judged by its first two bytes.
pub(super) fn can_begin(text: &[u8]) -> bool {
    let (first, next) = match text {
        [first, next, ..] => (*first, *next),
        _ => return true,
    };
    match first {
        b'+' | b'\\' => true,
        _ if begins_escape(next) => true,
        b'%' => next.is_ascii_hexdigit() || matches!(next, b'u' | b'U'),
        b'=' => next.is_ascii_hexdigit() || next == b'\n',
        b'&' => matches!(next, b'#' | b'a' | b'l' | b'g' | b'q'),
        _ => next == b'\n',
    }
}

fn refused(byte: u8) -> Failure {
    if begins_escape(byte) {
        Failure::Deeper
    } else {
        Failure::No
    }
}
