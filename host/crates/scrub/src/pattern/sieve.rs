//! The sieve decides from the first four symbols alone whether a run can begin at a place. It may
//! let too many places through, never too few.
//!
//! There are two sieves. One reads each byte as itself or as an escape, and knows the line breaks
//! of base64. The other one finds hex with separators: long rows of bytes of the class `HEX`, which
//! are rare in other text.

mod hex;

use super::super::bounds::RUN_CHARS;
use super::super::needle::{MAX_GAP_CHARS, Needle, Notation, Symbol, is_hex_gap};
use super::super::spelling::{Glance, begins_escape, can_mean, glance};
use super::shelf::Patterns;

/// The number of symbols that the sieve compares.
const SIEVED: usize = 4;
/// The minimum number of symbols in a run.
const RUN: usize = RUN_CHARS;

/// An escape can begin with this byte, or it can be a line break in base64.
pub(super) const ESCAPE: u8 = 1;
/// The byte can occur in hex: as a digit, as a separator, or in an escape of one.
const HEX: u8 = 2;
/// The byte is a hex digit.
const HEX_DIGIT: u8 = 4;
/// A short value can begin with this byte.
pub(super) const TOKEN: u8 = 8;
/// The byte occurs in a run.
const MATTERS: u8 = 16;

/// The classes that do not depend on the secrets.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let of = byte as u8;
        if of == b'\n' || begins_escape(of) && of != b'+' {
            classes[byte] |= ESCAPE;
        }
        if of.is_ascii_hexdigit() {
            classes[byte] |= HEX | HEX_DIGIT;
        }
        let is_in_escape = matches!(of, b'x' | b'X' | b'n' | b'r' | b't' | b'u' | b'U')
            || matches!(of, b'{' | b'}' | b'#' | b'm' | b'p');
        if is_hex_gap(of) || begins_escape(of) || is_in_escape {
            classes[byte] |= HEX;
        }
        byte += 1;
    }
    classes
};

/// Returns the classes of each byte for these secrets.
pub(super) fn classes(needles: &[Needle], tokens: &[Needle]) -> [u8; 256] {
    let mut classes = CLASSES;
    let mut add = |byte: u8, class| classes[usize::from(byte)] |= class;
    for token in tokens {
        for byte in 0..=u8::MAX {
            if byte.eq_ignore_ascii_case(&token.symbols[0]) || !byte.is_ascii_alphanumeric() {
                add(byte, TOKEN);
            }
        }
    }
    for needle in needles {
        for &symbol in needle.symbols.iter() {
            add(symbol, MATTERS);
            add(symbol.to_ascii_uppercase(), MATTERS);
            match symbol {
                b'+' => add(b'-', MATTERS),
                b'/' => add(b'_', MATTERS),
                b' ' => add(b'+', ESCAPE),
                _ => {}
            }
        }
    }
    classes
}

/// Adds every four consecutive symbols of the needle to the sieve. Base64 is added in both
/// alphabets.
pub(super) fn put(sieve: &mut [u64], needle: &Needle) {
    let mut put = |four: &[u8; SIEVED]| {
        let (word, bit) = bit(gram(four), sieve.len());
        sieve[word] |= 1 << bit;
    };
    for four in needle.symbols.array_windows() {
        put(four);
        if needle.notation == Notation::Base64 && four.iter().any(|it| b"+/".contains(it)) {
            put(&four.map(|it| match it {
                b'+' => b'-',
                b'/' => b'_',
                it => it,
            }));
        }
    }
}

/// The state of both sieves in one text.
pub(super) struct Sieve<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    /// The next place that each sieve lets through, cached from the last call.
    spelled: Option<usize>,
    spaced: Option<usize>,
    /// The next byte that begins an escape or a gap which can be part of a run, cached likewise.
    special: Option<usize>,
}

impl<'p> Sieve<'p> {
    pub(super) fn new(patterns: &'p Patterns, text: &'p [u8]) -> Self {
        Self {
            patterns,
            text,
            spelled: None,
            spaced: None,
            special: None,
        }
    }

    /// Returns the first place from `at` on that a sieve lets through, or the end of the text. `at`
    /// must not decrease from call to call.
    pub(super) fn next(&mut self, at: usize) -> usize {
        let is_at = |place: &usize| *place >= at;
        let spelled = self.spelled.filter(is_at);
        let spelled = spelled.unwrap_or_else(|| self.next_spelled(at));
        let spaced = self.spaced.filter(is_at);
        let spaced = spaced.unwrap_or_else(|| self.next_spaced(at));
        (self.spelled, self.spaced) = (Some(spelled), Some(spaced));
        spelled.min(spaced)
    }

    fn matters(&self, byte: u8) -> bool {
        self.patterns.class(byte) & MATTERS != 0
    }

    /// Returns the next place where a run may begin. If eight consecutive bytes have no escape, one
    /// lookup of four of them rules out five places at once. The places right before a special byte
    /// are sieved one by one.
    fn next_spelled(&mut self, mut at: usize) -> usize {
        let end = self.text.len();
        while at < end {
            let special = match self.special {
                Some(special) if special >= at => special,
                _ => self.next_special(at),
            };
            self.special = Some(special);
            at = match self.in_plain(at, (special + 1).saturating_sub(RUN)) {
                Ok(found) => return found,
                Err(end) => end,
            };
            let near = if self.is_passed_break(special) {
                0
            } else {
                SIEVED
            };
            while at <= special && at < end {
                let is_near = special - at < near;
                if self.has_gram(at) || is_near && self.begins_run(at, Begun::default()) {
                    return at;
                }
                at += 1;
            }
        }
        end
    }

    /// Returns the first place of `at..end` that is let through. The eight bytes from each of these
    /// places must be free of escapes.
    fn in_plain(&self, mut at: usize, end: usize) -> Result<usize, usize> {
        while at < end {
            let last = (at + RUN - SIEVED).min(end - 1);
            if self.has_gram(last)
                && let Some(found) = (at..=last).find(|at| self.has_gram(*at))
            {
                return Ok(found);
            }
            at = last + 1;
        }
        Err(at)
    }

    /// Whether the four bytes from `at` on occur in a run, or are not all there yet.
    #[inline(always)]
    fn has_gram(&self, at: usize) -> bool {
        let four = self.text.get(at..).and_then(|rest| rest.first_chunk());
        four.is_none_or(|four| has(&self.patterns.sieve, gram(four)))
    }

    fn next_special(&self, mut at: usize) -> usize {
        let is_escape = |byte: &u8| self.patterns.class(*byte) & ESCAPE != 0;
        while let Some(count) = self.text[at..].iter().position(is_escape) {
            if self.is_special(at + count) {
                return at + count;
            }
            at += count + 1;
        }
        self.text.len()
    }

    fn is_special(&self, at: usize) -> bool {
        let is_one = |bytes: &[u8], end| match bytes {
            [b'\n' | b'\r'] if !self.matters(bytes[0]) => self.parts_base64(at, end),
            bytes => bytes.is_empty() || bytes.iter().any(|byte| self.matters(*byte)),
        };
        let byte = self.text[at];
        if matches!(byte, b'\n' | b'\r') && is_one(&[byte], at + 1) {
            return true;
        }
        if byte == b'\\' && self.matters(byte) && self.text.get(at + 1) == Some(&byte) {
            return true;
        }
        match glance(self.text, at) {
            Glance::Plain => false,
            Glance::One(spelled) => is_one(spelled.bytes(), spelled.end),
            Glance::Unknown => can_mean(self.text, at, |it| is_one(it.bytes(), it.end)),
        }
    }

    /// Whether the line break from `at` to `end` can stand between two base64 digits.
    fn parts_base64(&self, at: usize, end: usize) -> bool {
        let is_digit = |byte: u8| matches!(Notation::Base64.symbol(byte, true), Symbol::Digit(_));
        // A digit before it that is spelled by an escape counts as special on its own.
        let before = at > 0 && is_digit(self.text[at - 1]);
        let ends = |&byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        before
            && match self.text[end..].iter().find(|byte| ends(byte)) {
                None => true,
                Some(&byte) => is_digit(byte) || begins_escape(byte),
            }
    }

    /// Whether this is a base64 line break after which no run goes on. A run that begins in the
    /// four bytes before the break has at most three symbols before it, so the next four bytes
    /// would be in the sieve.
    fn is_passed_break(&self, at: usize) -> bool {
        if self.matters(b'\n') || self.matters(b'\\') {
            return false;
        }
        let end = match self.text.get(at) {
            Some(b'\n') => at + 1,
            Some(b'\\') => match glance(self.text, at) {
                Glance::One(spelled) if spelled.bytes() == b"\n" => spelled.end,
                _ => return false,
            },
            _ => return false,
        };
        let is_itself = |byte: &u8| *byte != b'+' && self.patterns.class(*byte) & ESCAPE == 0;
        let four = self.text[end..].trim_ascii_start().first_chunk();
        four.is_some_and(|four| {
            four.iter().all(is_itself) && !has(&self.patterns.sieve, gram(four))
        })
    }

    /// Whether a run can have these first four symbols: those in `begun`, and those that follow at
    /// `at`.
    fn begins_run(&self, mut at: usize, mut begun: Begun) -> bool {
        let byte = loop {
            if begun.count == SIEVED {
                return has(&self.patterns.sieve, gram(&begun.symbols));
            }
            let Some(&byte) = self.text.get(at) else {
                return true;
            };
            if byte == b'+' && begun.gap > 0 && self.goes_on(at + 1, begun) {
                // This `+` is a space in a URL, not a base64 digit.
                return true;
            }
            match self.patterns.class(byte) {
                _ if begun.gap > 0 && matches!(byte, b' ' | b'\t') => begun.gap += 1,
                class if class & ESCAPE != 0 => break byte,
                class if class & MATTERS != 0 => begun = begun.with(&[byte]),
                _ => return false,
            }
            at += 1;
        };
        if self.matters(byte) {
            if byte == b'\\' && self.text.get(at + 1) == Some(&byte) {
                return true;
            }
            if self.begins_run(at + 1, begun.with(&[byte])) {
                return true;
            }
        }
        if matches!(byte, b'\n' | b'\r') && self.goes_on(at + 1, begun) {
            return true;
        }
        match glance(self.text, at) {
            Glance::Plain => false,
            Glance::Unknown => true,
            Glance::One(spelled) => {
                let is_gap = match spelled.bytes() {
                    b"\n" | b"\r" => true,
                    b" " | b"\t" => begun.gap > 0,
                    _ => false,
                };
                is_gap && self.goes_on(spelled.end, begun)
                    || spelled.bytes().iter().all(|byte| self.matters(*byte))
                        && self.begins_run(spelled.end, begun.with(spelled.bytes()))
            }
        }
    }

    /// Like `begins_run`, after one more character of a gap.
    fn goes_on(&self, at: usize, mut begun: Begun) -> bool {
        begun.gap += 1;
        begun.count > 0 && begun.gap <= MAX_GAP_CHARS && self.begins_run(at, begun)
    }
}

/// The first symbols of a possible run.
#[derive(Clone, Copy, Default)]
struct Begun {
    symbols: [u8; SIEVED],
    count: usize,
    /// The number of gap characters after the last symbol.
    gap: usize,
}

impl Begun {
    fn with(mut self, bytes: &[u8]) -> Self {
        for (symbol, byte) in self.symbols[self.count..].iter_mut().zip(bytes) {
            *symbol = *byte;
            self.count += 1;
        }
        self.gap = 0;
        self
    }
}

/// Four bytes in the form that the sieve compares, ignoring letter case.
#[inline(always)]
fn gram(bytes: &[u8; SIEVED]) -> u32 {
    u32::from_le_bytes(*bytes) | 0x2020_2020
}

/// Returns the word and the bit for a gram in a sieve of `words` words. `words` is a power of two.
#[inline(always)]
fn bit(gram: u32, words: usize) -> (usize, u32) {
    const SPREAD: u32 = 0x9e37_79b1;
    let spread = gram.wrapping_mul(SPREAD);
    ((spread >> 11) as usize & (words - 1), spread >> 5 & 63)
}

#[inline(always)]
fn has(sieve: &[u64], gram: u32) -> bool {
    let (word, bit) = bit(gram, sieve.len());
    sieve[word] >> bit & 1 != 0
}
