//! The sieve of hex with separators.

use super::super::super::needle::is_hex_gap;
use super::super::super::spelling::{Glance, Spelled, begins_escape, can_mean, glance};
use super::{Begun, HEX, HEX_DIGIT, RUN, SIEVED, Sieve, gram, has};

/// The minimum number of digits in a run of hex.
const HEX_RUN: usize = 2 * RUN;

/// Whether a run can begin at a place, or the next place where one can.
enum Row {
    Here,
    NotBefore(usize),
}

impl Sieve<'_> {
    pub(super) fn next_spaced(&self, mut at: usize) -> usize {
        while at < self.text.len() {
            let end = self.text.len().min(at + HEX_RUN);
            let is_other = |byte: &u8| self.patterns.class(*byte) & HEX == 0;
            at = match self.text[at..end].iter().rposition(is_other) {
                Some(other) => at + other + 1,
                None => match self.row(at) {
                    Row::Here => return at,
                    Row::NotBefore(next) => next,
                },
            };
        }
        self.text.len()
    }

    /// Checks whether a run of hex can begin at `at`. One lookup of the last four of sixteen digits
    /// rules out thirteen places at once.
    fn row(&self, at: usize) -> Row {
        const LAST: usize = HEX_RUN - SIEVED;
        let mut digits = [0; HEX_RUN];
        let (mut count, mut next, mut last) = (0, at, at);
        while count < HEX_RUN {
            let Some(&byte) = self.text.get(next) else {
                return self.spelled_row(at);
            };
            let class = self.patterns.class(byte);
            if class & HEX_DIGIT != 0 {
                if byte == b'0' && count > 0 && self.can_be_x(next + 1) {
                    return self.spelled_row(at);
                }
                if count == LAST {
                    last = next;
                }
                digits[count] = byte;
                count += 1;
            } else if begins_escape(byte) {
                return self.spelled_row(at);
            } else if count == 0 || !is_hex_gap(byte) {
                return Row::NotBefore(next + 1);
            }
            next += 1;
        }
        let has = |four: usize| {
            let four = digits[four..].first_chunk();
            four.is_none_or(|four| has(&self.patterns.sieve, gram(four)))
        };
        if !has(LAST) {
            Row::NotBefore(last + 1)
        } else if has(0) {
            Row::Here
        } else {
            Row::NotBefore(at + 1)
        }
    }

    /// Like `row`, for escapes, `0x` before each byte, and the end of the text.
    fn spelled_row(&self, at: usize) -> Row {
        let mut begun = Begun::default();
        let mut next = at;
        while begun.count < SIEVED {
            let Some(&byte) = self.text.get(next) else {
                return Row::Here;
            };
            let spelled = match glance(self.text, next) {
                Glance::One(spelled) => spelled,
                Glance::Plain => Spelled::byte(byte, next + 1),
                Glance::Unknown => {
                    let is_digit = |it: &Spelled| it.bytes().iter().any(u8::is_ascii_hexdigit);
                    if begun.count > 0 || can_mean(self.text, next, is_digit) {
                        return Row::Here;
                    }
                    return Row::NotBefore(at + 1);
                }
            };
            next = spelled.end;
            match spelled.bytes() {
                b"0" if begun.count > 0 && self.can_be_x(next) => return Row::Here,
                [byte] if byte.is_ascii_hexdigit() => begun = begun.with(&[*byte]),
                [byte] if begun.count > 0 && is_hex_gap(*byte) => {}
                _ => return Row::NotBefore(at + 1),
            }
        }
        if has(&self.patterns.sieve, gram(&begun.symbols)) {
            Row::Here
        } else {
            Row::NotBefore(at + 1)
        }
    }

    /// Whether an `x` can stand at `at`, as itself or as an escape.
    fn can_be_x(&self, at: usize) -> bool {
        let is_x = |byte: &u8| matches!(byte, b'x' | b'X');
        match self.text.get(at) {
            Some(byte) if !begins_escape(*byte) => is_x(byte),
            None => true,
            Some(_) => match glance(self.text, at) {
                Glance::Plain => false,
                Glance::One(spelled) => spelled.bytes().iter().any(is_x),
                Glance::Unknown => true,
            },
        }
    }
}
