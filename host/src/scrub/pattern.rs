//! The runs of a set of secrets, and where one of them begins in a text. It knows nothing of what happens
//! to a find.
//!
//! A text is sieved first: a table tells for each four bytes whether a run can begin with them. Only where it
//! can, or where a character may be spelled in another way than as itself, the place is looked at.

mod look;
mod sieve;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use zeroize::Zeroizing;

use self::look::Look;
use self::sieve::{ESCAPE, Sieve, TOKEN};
use super::alias::aliases;
use super::bounds::WHOLE_TOKEN_BELOW_BYTES;
use super::context::Context;
use super::needle::{MAX_GAP_CHARS, Needle, Notation, Run, runs};
use super::spelling::MAX_SPELLING_BYTES;

/// Bits of the sieve for each run, at least; more of them let less through.
const BITS_PER_RUN: usize = 64;
const SIEVE_BITS: Range<usize> = 1 << 16..1 << 20;

/// What of a value is a find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// Any run of it.
    Runs,
    /// The same, where upper and lower case are one.
    RunsInAnyCase,
    /// All of it.
    Values,
}

/// Something found at a place of a text.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it ends.
    pub(super) end: usize,
    /// The secrets that it can be of.
    pub(super) names: Vec<Arc<str>>,
    /// Of these, the first whose value ends here.
    pub(super) ended: Option<Arc<str>>,
}

/// What is at one place of a text.
pub(super) enum Place {
    Found(Found),
    /// Nothing yet: more text could make it something, or something longer.
    Unfinished,
    Nothing,
}

/// Runs of one notation, in order.
struct Shelf {
    notation: Notation,
    runs: Zeroizing<Vec<Run>>,
    /// Where the runs begin that begin with each byte, and where the last ones end.
    first: Zeroizing<Vec<u32>>,
}

/// What is looked for.
pub(super) struct Patterns {
    names: Vec<Arc<str>>,
    needles: Vec<Needle>,
    shelves: Vec<Shelf>,
    /// Needles that are found only as a whole token.
    tokens: Vec<Needle>,
    sieve: Zeroizing<Vec<u64>>,
    /// What the sieve knows of each byte.
    classes: [u8; 256],
}

impl Patterns {
    pub(super) fn new<'s>(
        secrets: impl IntoIterator<Item = (&'s str, &'s str)>,
        sought: Sought,
    ) -> Self {
        let ignores_case = sought == Sought::RunsInAnyCase;
        let mut names = Vec::new();
        let (mut needles, mut tokens) = (Vec::new(), Vec::new());
        let mut all_runs = Vec::new();
        for (secret, (name, value)) in secrets.into_iter().enumerate() {
            names.push(Arc::from(name));
            for value in aliases(value) {
                if value.len() < WHOLE_TOKEN_BELOW_BYTES {
                    let mut short = Needle::all(value.as_bytes(), secret, ignores_case);
                    // As a whole token it stands alone, in base64 too.
                    short.truncate(3);
                    tokens.extend(short.into_iter().filter(|it| !it.symbols.is_empty()));
                    continue;
                }
                let runs = Rc::new(match sought {
                    Sought::Values => std::iter::once(0..value.len()).collect(),
                    Sought::Runs | Sought::RunsInAnyCase => runs(&value),
                });
                for needle in Needle::all(value.as_bytes(), secret, ignores_case) {
                    all_runs.push((needles.len() as u32, Rc::clone(&runs)));
                    needles.push(needle);
                }
            }
        }
        let notations = [
            Notation::Plain,
            Notation::PlainInAnyCase,
            Notation::Hex,
            Notation::Base64,
        ];
        let shelves: Vec<Shelf> = notations
            .into_iter()
            .map(|notation| Shelf::new(notation, &needles, &all_runs))
            .filter(|shelf| !shelf.runs.is_empty())
            .collect();
        let count: usize = shelves.iter().map(|shelf| shelf.runs.len()).sum();
        let bits = (count * BITS_PER_RUN)
            .next_power_of_two()
            .clamp(SIEVE_BITS.start, SIEVE_BITS.end);
        let mut patterns = Self {
            names,
            classes: sieve::classes(&needles, &tokens),
            sieve: Zeroizing::new(vec![0; bits / 64]),
            needles,
            shelves,
            tokens,
        };
        for needle in &patterns.needles {
            sieve::put(&mut patterns.sieve, needle);
        }
        patterns
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty() && self.tokens.is_empty()
    }

    fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }

    /// The most bytes that a place can be unfinished for: the longest run, each character of it in its longest
    /// spelling and with the longest gap before it.
    pub(super) fn max_held_bytes(&self) -> usize {
        let runs = self.shelves.iter().flat_map(|shelf| shelf.runs.iter());
        let tokens = self.tokens.iter().map(|it| it.symbols.len());
        let symbols = runs.map(Run::len).chain(tokens).max();
        symbols.map_or(0, |symbols| {
            // The padding of base64, and what follows a token.
            (symbols + 4) * (1 + MAX_GAP_CHARS) * MAX_SPELLING_BYTES
        })
    }

    /// The places of `text` where something is; `more` tells that more text may follow.
    pub(super) fn places<'p>(&'p self, text: &'p [u8], more: bool) -> Places<'p> {
        Places {
            patterns: self,
            text,
            more,
            sieve: Sieve::new(self, text),
        }
    }
}

/// A text on the way from place to place.
pub(super) struct Places<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    more: bool,
    sieve: Sieve<'p>,
}

impl Places<'_> {
    /// The first place from `at` on where something is found or unfinished, and what; none where there is
    /// nothing up to the end. Places are asked for in their order. `before` is what stood before the text;
    /// `context` tells where short values may be.
    pub(super) fn next(
        &mut self,
        mut at: usize,
        before: &[u8],
        context: &mut Context,
    ) -> Option<(usize, Place)> {
        let (patterns, text) = (self.patterns, self.text);
        if patterns.is_empty() {
            return None;
        }
        let has_tokens = !patterns.tokens.is_empty();
        let mut let_through = self.sieve.next(at);
        while at < text.len() {
            if has_tokens
                && patterns.class(text[at]) & (TOKEN | ESCAPE) != 0
                && context.allows(text, at)
            {
                match look::token(patterns, text, at, before, self.more) {
                    Place::Nothing => {}
                    place => return Some((at, place)),
                }
            }
            if at == let_through {
                match Look::at(patterns, text, at, self.more) {
                    Place::Nothing => let_through = self.sieve.next(at + 1),
                    place => return Some((at, place)),
                }
            }
            at = if has_tokens { at + 1 } else { let_through };
        }
        None
    }
}

impl Shelf {
    fn new(notation: Notation, needles: &[Needle], all: &[(u32, Rc<Vec<Range<usize>>>)]) -> Self {
        let own = || {
            all.iter()
                .filter(|(needle, _)| needles[*needle as usize].notation == notation)
        };
        let count = own().map(|(_, runs)| runs.len()).sum();
        // No copy is left behind by growing.
        let mut runs = Zeroizing::new(Vec::with_capacity(count));
        for (needle, spans) in own() {
            runs.extend(
                spans
                    .iter()
                    .map(|span| Run::new(*needle, needles, span.clone()))
                    .filter(|run| !run.begins_a_line(needles)),
            );
        }
        runs.sort_unstable_by(|a, b| a.order(b, needles));
        runs.dedup_by(|b, a| {
            a.needle(needles).secret == b.needle(needles).secret
                && a.symbols(needles) == b.symbols(needles)
                && a.is_last(needles) == b.is_last(needles)
        });
        let mut first = Zeroizing::new(vec![0; 257]);
        for run in runs.iter() {
            first[usize::from(run.symbols(needles)[0]) + 1] += 1;
        }
        for byte in 0..256 {
            first[byte + 1] += first[byte];
        }
        Self {
            notation,
            runs,
            first,
        }
    }

    fn beginning_with(&self, symbol: u8) -> Range<usize> {
        let at = usize::from(symbol);
        self.first[at] as usize..self.first[at + 1] as usize
    }
}
