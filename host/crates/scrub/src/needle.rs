//! A needle is a value in one notation: plain, hex or base64. It is cut into runs, the shortest
//! parts that count as a find. `spelling` reads the characters of a run as a text spells them.

use std::cmp::Ordering;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::{DefaultIsZeroes, Zeroizing};

use super::bounds::RUN_CHARS;
use super::public;

/// The most characters between two digits of hex or base64.
pub(super) const MAX_GAP_CHARS: usize = 16;

/// The notation of a value, apart from the spelling of single characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    /// The value itself.
    Plain,
    /// The value itself, ignoring letter case.
    PlainInAnyCase,
    /// Two digits a byte, in either case, with separators or line breaks between the digits.
    Hex,
    /// Either alphabet, with line breaks.
    Base64,
}

/// The role of a character in a notation.
pub(super) enum Symbol {
    /// A digit in canonical form: every way to write the same digit gives the same byte.
    Digit(u8),
    /// A character that may stand between digits.
    Gap,
    /// A character that ends the notation.
    Other,
}

impl Notation {
    /// Classifies `byte`. `in_gap` says that a gap has already begun.
    pub(super) fn symbol(self, byte: u8, in_gap: bool) -> Symbol {
        match (self, byte) {
            (Self::Plain, _) => Symbol::Digit(byte),
            (Self::PlainInAnyCase, _) => Symbol::Digit(byte.to_ascii_lowercase()),
            (Self::Hex, _) if byte.is_ascii_hexdigit() => Symbol::Digit(byte.to_ascii_lowercase()),
            (Self::Hex, _) if is_hex_gap(byte) => Symbol::Gap,
            (Self::Base64, b'-') => Symbol::Digit(b'+'),
            (Self::Base64, b'_') => Symbol::Digit(b'/'),
            (Self::Base64, b'+' | b'/') => Symbol::Digit(byte),
            (Self::Base64, _) if byte.is_ascii_alphanumeric() => Symbol::Digit(byte),
            (Self::Base64, b'\r' | b'\n') => Symbol::Gap,
            (Self::Base64, b' ' | b'\t') if in_gap => Symbol::Gap,
            (Self::Hex | Self::Base64, _) => Symbol::Other,
        }
    }
}

/// Whether the byte can stand between two hex digits.
pub(super) const fn is_hex_gap(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'-' | b' ' | b',' | b'.' | b';' | b'_' | b'\t' | b'\r' | b'\n'
    )
}

pub(super) struct Needle {
    pub(super) notation: Notation,
    /// Index of the secret in the list of names.
    pub(super) secret: usize,
    pub(super) symbols: Zeroizing<Vec<u8>>,
    /// Characters that can follow the value and still belong to it: base64's last digit, which
    /// mixes bits of the value with zeros, and the padding.
    pub(super) tail: Zeroizing<Vec<u8>>,
    /// Bytes before the value in its base64 group: 0 to 2.
    before: usize,
}

impl Needle {
    /// Returns `value` in every notation.
    pub(super) fn all(value: &[u8], secret: usize, ignores_case: bool) -> Vec<Self> {
        let needle = |notation, symbols, tail, before| Self {
            notation,
            secret,
            symbols,
            tail,
            before,
        };
        let none = || Zeroizing::new(Vec::new());
        let mut needles = Vec::with_capacity(5);
        if ignores_case {
            let lower = Zeroizing::new(value.to_ascii_lowercase());
            needles.push(needle(Notation::PlainInAnyCase, lower, none(), 0));
        } else {
            let plain = Zeroizing::new(value.to_vec());
            needles.push(needle(Notation::Plain, plain, none(), 0));
        }
        let digits = Zeroizing::new(hex::encode(value).into_bytes());
        needles.push(needle(Notation::Hex, digits, none(), 0));
        if ignores_case {
            // Base64 depends on letter case.
            return needles;
        }
        for before in 0..3 {
            let mut text = Zeroizing::new(vec![0; before + value.len()]);
            text[before..].copy_from_slice(value);
            let mut encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&*text).into_bytes());
            let known = text.len() * 8 / 6;
            let mut tail = Zeroizing::new(Vec::with_capacity(3));
            tail.extend_from_slice(&encoded[known..]);
            tail.extend(std::iter::repeat_n(b'=', (3 - text.len() % 3) % 3));
            encoded.truncate(known);
            needles.push(needle(Notation::Base64, encoded, tail, before));
        }
        needles
    }

    /// Returns the range of symbols that depend on these bytes of the value only.
    fn span(&self, bytes: Range<usize>) -> Range<usize> {
        match self.notation {
            Notation::Plain | Notation::PlainInAnyCase => bytes,
            Notation::Hex => bytes.start * 2..bytes.end * 2,
            Notation::Base64 => {
                let bits = |byte: usize| (byte + self.before) * 8;
                bits(bytes.start).div_ceil(6)..bits(bytes.end) / 6
            }
        }
    }
}

/// A run: one of the shortest parts of a needle that count as a find. Every longer find consists of
/// runs.
#[derive(Clone, Copy, Default)]
pub(super) struct Run {
    /// The first eight symbols, to compare most runs at once.
    head: u64,
    needle: u32,
    start: u32,
    len: u32,
}

impl DefaultIsZeroes for Run {}

impl Run {
    pub(super) fn new(needle: u32, needles: &[Needle], bytes: Range<usize>) -> Self {
        let of = &needles[needle as usize];
        let span = of.span(bytes);
        let mut head = [0; 8];
        for (to, from) in head.iter_mut().zip(&of.symbols[span.clone()]) {
            *to = *from;
        }
        Self {
            head: u64::from_be_bytes(head),
            needle,
            start: span.start as u32,
            len: span.len() as u32,
        }
    }

    pub(super) fn symbols<'n>(&self, needles: &'n [Needle]) -> &'n [u8] {
        let (start, len) = (self.start as usize, self.len as usize);
        &needles[self.needle as usize].symbols[start..start + len]
    }

    pub(super) fn needle<'n>(&self, needles: &'n [Needle]) -> &'n Needle {
        &needles[self.needle as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the run reaches the end of the value.
    pub(super) fn is_last(&self, needles: &[Needle]) -> bool {
        (self.start + self.len) as usize == needles[self.needle as usize].symbols.len()
    }

    /// Whether the run begins with a line break of the value. Such a run is not looked for:
    /// otherwise every event of a stream that ends with a line break would wait for the text after
    /// it.
    pub(super) fn begins_a_line(&self, needles: &[Needle]) -> bool {
        let is_plain = matches!(
            self.needle(needles).notation,
            Notation::Plain | Notation::PlainInAnyCase
        );
        is_plain && matches!(self.symbols(needles), [b'\n' | b'\r', ..])
    }

    /// Orders runs by their symbols, then by the order of the secrets.
    pub(super) fn order(&self, other: &Self, needles: &[Needle]) -> Ordering {
        self.head
            .cmp(&other.head)
            .then_with(|| self.symbols(needles).cmp(other.symbols(needles)))
            .then(self.needle.cmp(&other.needle))
    }
}

/// Returns the parts of a value that are a find wherever they stand: each [`RUN_CHARS`] characters
/// in a row, more where some of them are public, or the whole of a shorter value.
pub(super) fn runs(value: &str) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = value.char_indices().map(|(at, _)| at).collect();
    ends.push(value.len());
    let chars = ends.len() - 1;
    let public = public::parts(value);
    let mut runs = Vec::with_capacity(chars);
    for first in 0..chars {
        let mut last = first + RUN_CHARS;
        if let Some(part) = public.iter().find(|it| it.range.contains(&ends[first])) {
            let after = ends.partition_point(|&end| end < part.range.end);
            last = last.max(after + part.beyond_chars);
        }
        if last <= chars {
            runs.push(ends[first]..ends[last]);
        } else if first == 0 {
            runs.push(0..value.len());
        }
    }
    for part in public.iter().filter(|part| part.range.start > 0) {
        // The public part is a find together with the characters before it.
        let before = ends.partition_point(|&end| end < part.range.start);
        runs.push(ends[before.saturating_sub(RUN_CHARS)]..part.range.end);
    }
    runs
}
