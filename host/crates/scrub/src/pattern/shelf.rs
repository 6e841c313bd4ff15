//! The patterns to look for, and the result of a look.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::super::bounds::MAX_NUMBER_BYTES;
use super::super::needle::{MAX_GAP_CHARS, Needle, Notation, Run};
use super::super::spelling::MAX_SPELLING_BYTES;

/// A find at one place of a text.
#[derive(Debug)]
pub(crate) struct Found {
    /// The offset where the find ends.
    pub(crate) end: usize,
    /// The secrets that the find can belong to.
    pub(crate) names: Vec<Arc<str>>,
    /// The first of `names` whose value ends at `end`.
    pub(crate) ended: Option<Arc<str>>,
}

/// The result of a look at one place of a text.
pub(crate) enum Place {
    Found(Found),
    /// Undecided: more text could complete a find, or make it longer.
    Unfinished,
    Nothing,
}

/// The sorted runs of one notation.
pub(super) struct Shelf {
    pub(super) notation: Notation,
    pub(super) runs: Zeroizing<Vec<Run>>,
    /// An index by first byte: where the runs with that byte begin. The last entry is the number of
    /// runs.
    pub(super) first: Zeroizing<Vec<u32>>,
}

/// Everything that a scrubber looks for.
pub(crate) struct Patterns {
    pub(super) names: Vec<Arc<str>>,
    pub(super) needles: Vec<Needle>,
    pub(super) shelves: Vec<Shelf>,
    /// Needles of short values, found only as a whole token.
    pub(super) tokens: Vec<Needle>,
    pub(super) sieve: Zeroizing<Vec<u64>>,
    /// Classes of each byte, as bit flags that the sieve defines.
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

    /// The most bytes that a place can stay unfinished for: the longest run, with each character in
    /// its longest spelling and after the longest gap.
    pub(crate) fn max_held_bytes(&self) -> usize {
        let runs = self.shelves.iter().flat_map(|shelf| shelf.runs.iter());
        let tokens = self.tokens.iter().map(|it| it.symbols.len());
        let symbols = runs.map(Run::len).chain(tokens).max();
        symbols.map_or(0, |symbols| {
            // Four more for the padding of base64 and for the character after a token.
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
        // The capacity is exact: growing would leave copies of the runs behind.
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
