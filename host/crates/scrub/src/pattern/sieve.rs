//! The sieve: from the first four symbols alone, whether a run can begin at a place. It lets
//! through too much and never too little.
//!
//! It is two sieves. One takes each byte as itself or as an escape, and knows the line breaks of
//! base64. The other one knows hex with separators, which stands in a row of bytes that hardly any
//! other text has.

mod hex;

use super::super::bounds::RUN_CHARS;
use super::super::needle::{MAX_GAP_CHARS, Needle, Notation, Symbol, is_hex_gap};
use super::super::spelling::{Glance, begins_escape, can_mean, glance};
use super::shelf::Patterns;

/// How many symbols are looked at.
const SIEVED: usize = 4;
/// No run has fewer symbols.
const RUN: usize = RUN_CHARS;

/// An escape can begin here, or base64 can have a line break.
pub(super) const ESCAPE: u8 = 1;
/// Hex can have it: as a digit, a separator, or a part of an escape that is one of these.
const HEX: u8 = 2;
/// A digit of hex.
const HEX_DIGIT: u8 = 4;
/// A short value can begin with it.
pub(super) const TOKEN: u8 = 8;
/// It is in a run.
const MATTERS: u8 = 16;

/// The classes that do not depend on what is looked for.
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

/// The class of each byte.
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

/// Puts any four symbols of the needle in a row into the sieve. In base64 the other alphabet goes
/// with them.
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

/// Both sieves on their way through a text.
pub(super) struct Sieve<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    /// The first place that each one lets through, from the place on that was asked for last.
    spelled: Option<usize>,
    spaced: Option<usize>,
    /// The first byte from there on that can be spelled in another way, and be part of a run.
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

    /// The first place from `at` on that is let through; the end of the text where none is. Places
    /// are asked for in their order.
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

    /// Where eight bytes in a row are themselves, one look at four of them tells of five places at
    /// once. The places before a special byte are sieved one by one.
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

    /// The first place of `at..end` that is let through, where the eight bytes from each place on
    /// are themselves.
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

    /// Whether the four bytes from `at` on are in a run as they are, or are not all there yet.
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

    /// Whether the line break from `at` to `end` can stand between two digits of base64.
    fn parts_base64(&self, at: usize, end: usize) -> bool {
        let is_digit = |byte: u8| matches!(Notation::Base64.symbol(byte, true), Symbol::Digit(_));
        // Where a digit before it is spelled by an escape, that is special.
        let before = at > 0 && is_digit(self.text[at - 1]);
        let ends = |&byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        before
            && match self.text[end..].iter().find(|byte| ends(byte)) {
                None => true,
                Some(&byte) => is_digit(byte) || begins_escape(byte),
            }
    }

    /// Whether this is a line break of base64 behind which stands something else. A run that begins
    /// in the four bytes before it would have seven digits there.
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

    /// Whether the first four symbols can be in a run: those that are begun, and what goes on at
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
                // A space of a URL, and not a digit of base64.
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

    /// The same behind a character of a gap.
    fn goes_on(&self, at: usize, mut begun: Begun) -> bool {
        begun.gap += 1;
        begun.count > 0 && begun.gap <= MAX_GAP_CHARS && self.begins_run(at, begun)
    }
}

/// The first symbols of what may be a run.
#[derive(Clone, Copy, Default)]
struct Begun {
    symbols: [u8; SIEVED],
    count: usize,
    /// How many characters stand behind the last of them.
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

/// Four bytes as the sieve compares them: upper and lower case are one.
#[inline(always)]
fn gram(bytes: &[u8; SIEVED]) -> u32 {
    u32::from_le_bytes(*bytes) | 0x2020_2020
}

/// Which bit of a sieve of `words` words stands for a gram: the number of words is a power of two.
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
