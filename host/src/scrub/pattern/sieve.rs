//! The sieve: from the next four bytes alone, whether a run can begin at a place. It lets through too much and
//! never too little.

use super::super::needle::{Needle, Notation, Symbol, is_hex_gap};
use super::super::spelling::{MAX_DEPTH, begins_escape, spellings};
use super::Patterns;

/// How many bytes are looked at.
const SIEVED: usize = 4;

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

/// What is known of each byte.
pub(super) fn classes(needles: &[Needle], tokens: &[Needle]) -> [u8; 256] {
    let mut classes = [0; 256];
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
            if folded(byte) == folded(token.symbols[0]) {
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

/// The sieve on its way through a text.
pub(super) struct Sieve<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    /// The next four bytes, folded, and their classes.
    gram: u32,
    classes: u32,
    /// Everything before it is let through: an escape or a line break is near.
    look_until: usize,
}

impl<'p> Sieve<'p> {
    /// It begins at `at`, and goes on byte by byte.
    pub(super) fn new(patterns: &'p Patterns, text: &'p [u8], at: usize) -> Self {
        let mut sieve = Self {
            patterns,
            text,
            gram: 0,
            classes: 0,
            look_until: 0,
        };
        for near in at..text.len().min(at + SIEVED - 1) {
            sieve.take(near);
        }
        sieve
    }

    #[inline]
    pub(super) fn lets_through(&mut self, at: usize) -> bool {
        const EACH_HEX: u32 = HEX as u32 * 0x0101_0101;
        const ANY_GAP: u32 = HEX_GAP as u32 * 0x0101_0101;
        if at + SIEVED > self.text.len() {
            return true;
        }
        self.take(at + SIEVED - 1);
        let sieve = &self.patterns.sieve;
        let bit = bit(self.gram, sieve.len());
        sieve[bit / 64] >> (bit % 64) & 1 != 0
            || at < self.look_until
            || self.classes & EACH_HEX == EACH_HEX
                && self.classes & ANY_GAP != 0
                && self.has_spaced(Notation::Hex, at)
    }

    #[inline]
    fn take(&mut self, at: usize) {
        let byte = self.text[at];
        let class = self.patterns.classes[usize::from(byte)];
        self.gram = self.gram >> 8 | u32::from(FOLDED[usize::from(byte)]) << 24;
        self.classes = self.classes >> 8 | u32::from(class) << 24;
        if class & ESCAPE != 0 && self.matters(at) {
            self.look_until = at + 1;
        }
    }

    /// Whether what is spelled here, other than the byte itself, can be part of a run.
    fn matters(&self, at: usize) -> bool {
        const DEEP: usize = 1 << MAX_DEPTH;
        let rest = &self.text[at..];
        let classes = &self.patterns.classes;
        let means = |byte: u8| classes[usize::from(byte)] & MATTERS != 0;
        match rest[0] {
            b'\n' => return self.parts_base64(at),
            b'\\' if rest.len() >= DEEP && rest[..DEEP].iter().all(|&byte| byte == b'\\') => {
                return means(b'\\');
            }
            _ => {}
        }
        let here = spellings(self.text, at);
        here.is_cut
            || here.as_slice()[1..]
                .iter()
                .any(|it| it.bytes().is_empty() || it.bytes().iter().any(|&byte| means(byte)))
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
                let sieve = &self.patterns.sieve;
                let bit = bit(gram(&digits), sieve.len());
                return sieve[bit / 64] >> (bit % 64) & 1 != 0;
            }
        }
        true
    }
}

/// One way to write what some notation takes as the same.
const fn folded(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        _ => byte.to_ascii_lowercase(),
    }
}

const FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = folded(byte as u8);
        byte += 1;
    }
    table
};

/// Four bytes as the sieve compares them.
pub(super) fn gram(bytes: &[u8; SIEVED]) -> u32 {
    u32::from_le_bytes(bytes.map(|byte| FOLDED[usize::from(byte)]))
}

/// Which bit of a sieve of `words` words stands for a gram.
pub(super) fn bit(gram: u32, words: usize) -> usize {
    const SPREAD: u32 = 0x9e37_79b1;
    (gram.wrapping_mul(SPREAD) >> 11) as usize & (words * 64 - 1)
}
