//! The sieve: from the next four bytes alone, whether a run can begin at a place. It lets through too much and
//! never too little.

use super::super::RUN_CHARS;
use super::super::needle::{Needle, Notation, Symbol, is_hex_gap};
use super::super::spelling::{MAX_DEPTH, begins_escape, can_begin, can_mean};
use super::Patterns;

/// How many bytes are looked at.
const SIEVED: usize = 4;
/// No run has fewer symbols.
const RUN: usize = RUN_CHARS;

/// An escape can begin here, or base64 can have a line break.
pub(super) const ESCAPE: u8 = 1;
/// It can be in hex with separators.
const HEX: u8 = 2;
/// The same, and is no digit.
const HEX_GAP: u8 = 4;
/// A short value can begin with it.
pub(super) const TOKEN: u8 = 8;
/// Where it is spelled by an escape, that can be part of a run.
const MATTERS: u8 = 16;

/// The class of each byte.
pub(super) fn classes(needles: &[Needle], tokens: &[Needle]) -> [u8; 256] {
    let mut classes = [0_u8; 256];
    for byte in 0..=u8::MAX {
        let class = &mut classes[usize::from(byte)];
        if byte == b'\n' || begins_escape(byte) && byte != b'+' {
            *class |= ESCAPE;
        }
        if byte.is_ascii_hexdigit() {
            *class |= HEX;
        }
        if is_hex_gap(byte) || matches!(byte, b'x' | b'X') {
            *class |= HEX | HEX_GAP;
        }
        if *class & HEX_GAP != 0 || matches!(Notation::Base64.symbol(byte, true), Symbol::Digit(_))
        {
            *class |= MATTERS;
        }
    }
    for token in tokens {
        for byte in 0..=u8::MAX {
            if byte.eq_ignore_ascii_case(&token.symbols[0]) || !byte.is_ascii_alphanumeric() {
                classes[usize::from(byte)] |= TOKEN;
            }
        }
    }
    for needle in needles {
        for &symbol in needle.symbols.iter() {
            classes[usize::from(symbol)] |= MATTERS;
            classes[usize::from(symbol.to_ascii_uppercase())] |= MATTERS;
            if symbol == b' ' {
                classes[usize::from(b'+')] |= ESCAPE;
            }
        }
    }
    classes
}

/// Puts any four symbols of the needle in a row into the sieve. In base64 the other alphabet goes with them.
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

/// The sieve on its way through a text.
///
/// Where eight bytes in a row are themselves, one look at four of them tells of five places at once. Other places
/// are sieved one by one.
pub(super) struct Sieve<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    /// How many bytes of the text were judged, and the classes of the last three.
    judged: usize,
    classes: u32,
    /// Behind the last byte that was judged to be special: an escape, a break of base64, a separator of hex.
    escape_end: usize,
    break_end: usize,
    gap_end: usize,
}

impl<'p> Sieve<'p> {
    /// It begins at `at`.
    pub(super) fn new(patterns: &'p Patterns, text: &'p [u8], at: usize) -> Self {
        Self {
            patterns,
            text,
            judged: at,
            classes: 0,
            escape_end: 0,
            break_end: 0,
            gap_end: 0,
        }
    }

    /// The first place from `at` on that is let through; the end of the text where none is. Places are asked
    /// for in their order.
    pub(super) fn next(&mut self, mut at: usize) -> usize {
        while at < self.text.len() {
            let special = self.special_from(at);
            at = match self.in_plain(at, special.min(self.text.len()).saturating_sub(RUN - 1)) {
                Ok(found) => return found,
                Err(end) => end,
            };
            while at < self.special_end() || at + RUN > self.text.len() && at < self.text.len() {
                let seen = (at + SIEVED).min(self.text.len());
                while self.judged < seen {
                    self.judge_to(seen);
                }
                if self.lets_through(at) {
                    return at;
                }
                at += 1;
            }
        }
        self.text.len()
    }

    /// The first place of `at..end` that is let through, where the eight bytes from each place on are themselves.
    fn in_plain(&self, mut at: usize, end: usize) -> Result<usize, usize> {
        let sieve = self.patterns.sieve.as_slice();
        while at < end {
            let last = (at + RUN - SIEVED).min(end - 1);
            if self.gram(last).is_some_and(|gram| has(sieve, gram)) {
                let is_through = |at: &usize| self.gram(*at).is_some_and(|gram| has(sieve, gram));
                if let Some(found) = (at..=last).find(is_through) {
                    return Ok(found);
                }
            }
            at = last + 1;
        }
        Err(at)
    }

    #[inline(always)]
    fn gram(&self, at: usize) -> Option<u32> {
        let bytes = self.text.get(at..)?.first_chunk()?;
        Some(gram(bytes))
    }

    fn lets_through(&self, at: usize) -> bool {
        let is_near = |end: usize| end > at && end <= at + SIEVED;
        self.gram(at)
            .is_none_or(|gram| has(&self.patterns.sieve, gram))
            || is_near(self.escape_end)
            || is_near(self.break_end) && self.has_spaced(Notation::Base64, at)
            || is_near(self.gap_end) && self.has_spaced(Notation::Hex, at)
    }

    /// Behind the last special byte.
    fn special_end(&self) -> usize {
        self.escape_end.max(self.break_end).max(self.gap_end)
    }

    /// Where the first special byte from `at` on is, or the end of the text.
    fn special_from(&mut self, at: usize) -> usize {
        while self.special_end() <= at && self.judged < self.text.len() {
            self.judge_to(self.text.len());
        }
        match self.special_end() {
            end if end > at => end - 1,
            _ => self.text.len(),
        }
    }

    /// Judges the bytes up to `end`, or to the first one that may be special.
    fn judge_to(&mut self, end: usize) {
        const IS_GAP: u32 = (HEX as u32) << 16 | (HEX_GAP as u32) << 8 | HEX as u32;
        let mut classes = self.classes;
        let bytes = self.text.get(self.judged..end).unwrap_or_default();
        for (count, &byte) in bytes.iter().enumerate() {
            let class = self.patterns.classes[usize::from(byte)];
            classes = classes << 8 | u32::from(class);
            let is_gap = classes & IS_GAP == IS_GAP;
            if is_gap || class & ESCAPE != 0 {
                let at = self.judged + count;
                (self.classes, self.judged) = (classes, at + 1);
                if is_gap {
                    self.gap_end = at;
                }
                if class & ESCAPE != 0 {
                    self.judge_escape(at);
                }
                return;
            }
        }
        self.classes = classes;
        self.judged = self.judged.max(end);
    }

    fn judge_escape(&mut self, at: usize) {
        const DEEP: usize = 1 << MAX_DEPTH;
        let means = |byte: &u8| self.patterns.class(*byte) & MATTERS != 0;
        let rest = &self.text[at..];
        if rest[0] == b'\n' {
            if means(&b'\n') {
                self.escape_end = at + 1;
            } else if self.parts_base64(at) {
                self.break_end = at + 1;
            }
            return;
        }
        if !can_begin(rest) {
            return;
        }
        let is_deep = |slashes: &[u8]| slashes.iter().all(|byte| *byte == b'\\');
        let matters = match rest.get(..DEEP) {
            // So many mean nothing else.
            Some(slashes) if is_deep(slashes) => means(&b'\\'),
            _ => can_mean(self.text, at, |spelled| match spelled.bytes() {
                [] => true,
                [byte] if means(byte) => true,
                [gap] if is_hex_gap(*gap) || matches!(gap, b'x' | b'X') => {
                    self.parts_digits(at, spelled.end)
                }
                [_] => false,
                bytes => bytes.iter().any(means),
            }),
        };
        if matters {
            self.escape_end = at + 1;
        }
    }

    /// Whether what stands before `at` and from `end` on can be digits, of hex or of base64.
    fn parts_digits(&self, at: usize, end: usize) -> bool {
        let before = at.checked_sub(1).is_none_or(|before| {
            let byte = self.text[before];
            // The last of these end an escape.
            byte.is_ascii_alphanumeric() || is_hex_gap(byte) || b"+/_;}".contains(&byte)
        });
        let can_be = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || is_hex_gap(*byte)
                || *byte == b'/'
                || begins_escape(*byte)
        };
        before && self.text.get(end).is_none_or(can_be)
    }

    /// Whether the line break at `at` stands between two digits of base64.
    fn parts_base64(&self, at: usize) -> bool {
        let is_digit = |byte: u8| matches!(Notation::Base64.symbol(byte, true), Symbol::Digit(_));
        let ends = |&byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let before = at == 0 || is_digit(self.text[at - 1]) || self.text[at - 1] == b'\r';
        let after = self.text[at..].iter().find(|byte| ends(byte));
        before && after.is_none_or(|&byte| is_digit(byte) || begins_escape(byte))
    }

    /// Whether a run of this notation, with gaps, can begin at `at`.
    fn has_spaced(&self, notation: Notation, at: usize) -> bool {
        let mut digits = [0; SIEVED];
        let mut count = 0;
        for &byte in &self.text[at..] {
            match notation.symbol(byte, true) {
                Symbol::Digit(digit) => {
                    digits[count] = digit;
                    count += 1;
                }
                Symbol::Gap if count > 0 => {}
                _ if begins_escape(byte) || matches!(byte, b'x' | b'X') => return count > 0,
                _ => return false,
            }
            if count == SIEVED {
                return has(&self.patterns.sieve, gram(&digits));
            }
        }
        true
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
