//! Examines one place of a text in every way in which it can be read.

use std::ops::Range;
use std::sync::Arc;

use super::super::needle::{MAX_GAP_CHARS, Needle, Notation, Run, Symbol};
use super::super::spelling::{MAX_SPELLING_BYTES, Spelled, begins_escape, spellings};
use super::shelf::{Found, Patterns, Place, Shelf};

/// The most steps made from one place. A text reaches this limit only if a credential itself has
/// many characters in a row that begin escapes.
const MAX_STEPS: u32 = 4_096;

/// Looks for runs that begin at one place.
pub(super) struct Look<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    shelf: &'p Shelf,
    steps: u32,
    /// States already visited, because different readings can meet: the place, the first run, and
    /// the number of symbols read.
    seen: Vec<(usize, usize, usize)>,
    is_cut: bool,
    end: usize,
    /// The runs found at this place, across all shelves.
    found: Vec<Run>,
}

/// The state of one reading.
#[derive(Clone)]
struct Step {
    at: usize,
    /// The runs that begin with the symbols read so far.
    runs: Range<usize>,
    /// The number of symbols read.
    read: usize,
    /// The number of characters since the last symbol.
    gap: usize,
    /// The gap has a line break. At most one is allowed: an empty line ends an event, and a text.
    has_break: bool,
}

impl<'p> Look<'p> {
    pub(super) fn at(patterns: &'p Patterns, text: &'p [u8], at: usize, more: bool) -> Place {
        let Some(shelf) = patterns.shelves.first() else {
            return Place::Nothing;
        };
        let mut look = Self {
            patterns,
            text,
            shelf,
            steps: 0,
            seen: Vec::new(),
            is_cut: false,
            end: 0,
            found: Vec::new(),
        };
        let byte = text[at];
        if byte == b'\r' {
            // No run begins with a line break.
            return Place::Nothing;
        }
        for shelf in &patterns.shelves {
            let runs = match shelf.notation.symbol(byte, false) {
                _ if begins_escape(byte) => 0..shelf.runs.len(),
                Symbol::Digit(symbol) => shelf.beginning_with(symbol),
                Symbol::Gap | Symbol::Other => continue,
            };
            if runs.is_empty() {
                continue;
            }
            look.shelf = shelf;
            look.seen.clear();
            look.follow(Step {
                at,
                runs,
                read: 0,
                gap: 0,
                has_break: false,
            });
        }
        if more && look.is_cut {
            Place::Unfinished
        } else if look.found.is_empty() {
            Place::Nothing
        } else {
            Place::Found(look.outcome())
        }
    }

    fn follow(&mut self, mut step: Step) {
        self.complete(&mut step);
        self.steps += 1;
        if step.runs.is_empty() || self.steps > MAX_STEPS {
            return;
        }
        if let Some(&byte) = self.text.get(step.at)
            && !begins_escape(byte)
        {
            return self.take(&step, &Spelled::byte(byte, step.at + 1));
        }
        let state = (step.at, step.runs.start, step.read);
        if self.seen.contains(&state) {
            return;
        }
        self.seen.push(state);
        let here = spellings(self.text, step.at);
        self.is_cut |= here.is_cut;
        for spelled in here.as_slice() {
            self.take(&step, spelled);
        }
    }

    /// Continues with one meaning of the characters at a place.
    fn take(&mut self, step: &Step, spelled: &Spelled) {
        let mut next = Step {
            at: spelled.end,
            gap: step.gap + 1,
            ..step.clone()
        };
        if spelled.bytes().is_empty() {
            return self.skip(&next);
        }
        for &byte in spelled.bytes() {
            match self.shelf.notation.symbol(byte, step.gap > 0) {
                Symbol::Digit(symbol) => {
                    self.after_a_prefix(byte, &next);
                    next.gap = 0;
                    next.has_break = false;
                    self.narrow(&mut next, symbol);
                }
                Symbol::Gap if byte == b'\n' && step.has_break => return,
                Symbol::Gap if spelled.bytes().len() == 1 => {
                    next.has_break |= byte == b'\n';
                    return self.skip(&next);
                }
                Symbol::Gap | Symbol::Other => return,
            }
        }
        if !next.runs.is_empty() {
            self.follow(next);
        }
    }

    /// Continues behind a gap between two symbols.
    fn skip(&mut self, next: &Step) {
        if next.read > 0 && next.gap <= MAX_GAP_CHARS {
            self.follow(next.clone());
        }
    }

    /// Skips a `0x` before a byte in hex: `zero` may be the beginning of one.
    fn after_a_prefix(&mut self, zero: u8, next: &Step) {
        if self.shelf.notation != Notation::Hex || zero != b'0' || next.read == 0 {
            return;
        }
        let here = spellings(self.text, next.at);
        self.is_cut |= here.is_cut;
        for spelled in here.as_slice() {
            if matches!(spelled.bytes(), b"x" | b"X") {
                self.skip(&Step {
                    at: spelled.end,
                    gap: next.gap + 1,
                    ..next.clone()
                });
            }
        }
    }

    /// Keeps only the runs whose next symbol is `symbol`.
    fn narrow(&self, step: &mut Step, symbol: u8) {
        if step.runs.is_empty() {
            return;
        }
        if step.read == 0 {
            let first = self.shelf.beginning_with(symbol);
            step.runs = first.start.max(step.runs.start)..first.end.min(step.runs.end);
        } else {
            let runs = &self.shelf.runs[step.runs.clone()];
            let at = |run: &Run| run.symbols(&self.patterns.needles).get(step.read).copied();
            let start = runs.partition_point(|run| at(run) < Some(symbol));
            let len = runs[start..].partition_point(|run| at(run) == Some(symbol));
            let start = step.runs.start + start;
            step.runs = start..start + len;
        }
        step.read += 1;
    }

    /// Records the runs that are read to their end, and removes them from the step.
    fn complete(&mut self, step: &mut Step) {
        while !step.runs.is_empty() && self.shelf.runs[step.runs.start].len() == step.read {
            let run = self.shelf.runs[step.runs.start];
            step.runs.start += 1;
            let needles = &self.patterns.needles;
            let mut end = step.at;
            if run.is_last(needles) {
                end = self.tail(&run.needle(needles).tail, end);
            }
            if end > self.end {
                self.end = end;
                // The longest reading wins, because it tells best which secret it is.
                self.found.clear();
            }
            if end == self.end {
                self.found.push(run);
            }
        }
    }

    /// Returns the end of the characters that may follow a value and belong to it.
    fn tail(&mut self, tail: &[u8], mut at: usize) -> usize {
        let shelf = self.shelf;
        for &expected in tail {
            let here = spellings(self.text, at);
            self.is_cut |= here.is_cut;
            let next = here.as_slice().iter().find(|it| {
                let [byte] = *it.bytes() else { return false };
                byte == expected
                    || matches!(shelf.notation.symbol(byte, false), Symbol::Digit(it) if it == expected)
            });
            match next {
                Some(next) => at = next.end,
                None => break,
            }
        }
        at
    }

    fn outcome(self) -> Found {
        let needles = &self.patterns.needles;
        let mut secrets: Vec<usize> = self
            .found
            .iter()
            .map(|run| run.needle(needles).secret)
            .collect();
        secrets.sort_unstable();
        secrets.dedup();
        let mut ended: Vec<usize> = self
            .found
            .iter()
            .filter(|run| run.is_last(needles))
            .map(|run| run.needle(needles).secret)
            .collect();
        ended.sort_unstable();
        let name = |secret: &usize| Arc::clone(&self.patterns.names[*secret]);
        Found {
            end: self.end,
            names: secrets.iter().map(name).collect(),
            ended: ended.first().map(name),
        }
    }
}

/// Looks at `at` for a short value that stands alone: not next to a letter, a digit, `_` or `-`.
pub(super) fn token(
    patterns: &Patterns,
    text: &[u8],
    at: usize,
    before: &[u8],
    more: bool,
) -> Place {
    if !begins_token(text, at, before) {
        return Place::Nothing;
    }
    let mut place = Place::Nothing;
    let mut longest = at;
    for needle in &patterns.tokens {
        let mut ends = Vec::new();
        let is_cut = follow_token(text, at, needle, 0, &mut ends);
        for end in ends {
            match text.get(end) {
                None if more => return Place::Unfinished,
                Some(&byte) if is_token_byte(byte) => {}
                _ if end > longest => {
                    longest = end;
                    let name = Arc::clone(&patterns.names[needle.secret]);
                    place = Place::Found(Found {
                        end,
                        names: vec![Arc::clone(&name)],
                        ended: Some(name),
                    });
                }
                _ => {}
            }
        }
        if is_cut && more {
            return Place::Unfinished;
        }
    }
    place
}

/// Pushes onto `ends` each offset where the needle can end, reading on from its symbol number
/// `read` without gaps. Returns whether the text ends first.
fn follow_token(
    text: &[u8],
    at: usize,
    needle: &Needle,
    read: usize,
    ends: &mut Vec<usize>,
) -> bool {
    let symbols = &needle.symbols;
    let all = symbols.len() + needle.tail.len();
    let padding = needle.tail.iter().filter(|&&byte| byte == b'=').count();
    if read + padding >= all {
        ends.push(at);
    }
    if read == all {
        return false;
    }
    let expected = symbols
        .get(read)
        .or_else(|| needle.tail.get(read - symbols.len()));
    let here = spellings(text, at);
    let mut is_cut = here.is_cut;
    for spelled in here.as_slice() {
        let count = spelled.bytes().len();
        let is_next = |(n, &byte): (usize, &u8)| {
            let expected = if n == 0 {
                expected
            } else {
                symbols.get(read + n)
            };
            let symbol = needle.notation.symbol(byte, false);
            expected == Some(&byte) || matches!(symbol, Symbol::Digit(it) if Some(&it) == expected)
        };
        if count > 0 && spelled.bytes().iter().enumerate().all(is_next) {
            is_cut |= follow_token(text, spelled.end, needle, read + count, ends);
        }
    }
    is_cut
}

/// Whether a token can begin at `at`, judged by the character before it, plain or escaped.
fn begins_token(text: &[u8], at: usize, before: &[u8]) -> bool {
    let from = at.saturating_sub(MAX_SPELLING_BYTES);
    let near: Vec<u8> = match from {
        0 => [before, &text[..at]].concat(),
        _ => text[from..at].to_vec(),
    };
    let Some(&last) = near.last() else {
        return true;
    };
    let is_other = |start: usize| {
        spellings(&near, start).as_slice().iter().any(|it| {
            let is_token = matches!(*it.bytes(), [byte] if is_token_byte(byte));
            it.end == near.len() && !is_token
        })
    };
    !is_token_byte(last)
        || (near.len().saturating_sub(MAX_SPELLING_BYTES)..near.len())
            .any(|start| begins_escape(near[start]) && is_other(start))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
