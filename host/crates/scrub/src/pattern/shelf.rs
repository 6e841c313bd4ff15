//! What is looked for, and what is found of it.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::super::bounds::MAX_NUMBER_BYTES;
use super::super::needle::{MAX_GAP_CHARS, Needle, Notation, Run};
use super::super::spelling::MAX_SPELLING_BYTES;

/// Something found at a place of a text.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it ends.
    pub(crate) end: usize,
    /// The secrets that it can be of.
    pub(crate) names: Vec<Arc<str>>,
    /// Of these, the first whose value ends here.
    pub(crate) ended: Option<Arc<str>>,
}

/// What is at one place of a text.
pub(crate) enum Place {
    Found(Found),
    /// Nothing yet: more text could make it something, or something longer.
    Unfinished,
    Nothing,
}

/// Runs of one notation, in order.
pub(super) struct Shelf {
    pub(super) notation: Notation,
    pub(super) runs: Zeroizing<Vec<Run>>,
    /// Where the runs begin that begin with each byte, and where the last ones end.
    pub(super) first: Zeroizing<Vec<u32>>,
}

/// What is looked for.
pub(crate) struct Patterns {
    pub(super) names: Vec<Arc<str>>,
    pub(super) needles: Vec<Needle>,
    pub(super) shelves: Vec<Shelf>,
    /// Needles that are found only as a whole token.
    pub(super) tokens: Vec<Needle>,
    pub(super) sieve: Zeroizing<Vec<u64>>,
    /// What the sieve knows of each byte.
    pub(super) classes: [u8; 256],
}

impl Patterns {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty() && self.tokens.is_empty()
    }

    pub(super) fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }

    /// The most bytes that a place can be unfinished for: the longest run, each character of it in
    /// its longest spelling and with the longest gap before it.
    pub(crate) fn max_held_bytes(&self) -> usize {
        let runs = self.shelves.iter().flat_map(|shelf| shelf.runs.iter());
        let tokens = self.tokens.iter().map(|it| it.symbols.len());
        let symbols = runs.map(Run::len).chain(tokens).max();
        symbols.map_or(0, |symbols| {
            // The padding of base64, and what follows a token.
            (symbols + 4) * (1 + MAX_GAP_CHARS) * MAX_SPELLING_BYTES + 2 * MAX_NUMBER_BYTES
        })
    }
}

impl Shelf {
    pub(super) fn new(
        notation: Notation,
        needles: &[Needle],
        all: &[(u32, Rc<Vec<Range<usize>>>)],
    ) -> Self {
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

    pub(super) fn beginning_with(&self, symbol: u8) -> Range<usize> {
        let at = usize::from(symbol);
        self.first[at] as usize..self.first[at + 1] as usize
    }
}
