//! Finds where a run of a set of secrets begins in a text. The callers decide what happens to a
//! find.
//!
//! A text is sieved first: a table tells for every four bytes whether a run can begin with them. A
//! place is examined only if the sieve lets it through, or if a character there may be spelled as
//! an escape.

mod look;
mod shelf;
mod sieve;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use zeroize::Zeroizing;

use self::look::Look;
use self::shelf::Shelf;
pub(super) use self::shelf::{Found, Patterns, Place};
use self::sieve::{ESCAPE, Sieve, TOKEN};
use super::alias::aliases;
use super::bounds::WHOLE_TOKEN_BELOW_BYTES;
use super::context::Context;
use super::needle::{Needle, Notation, runs};

/// The minimum size of the sieve, in bits per run. A larger sieve lets fewer places through.
const BITS_PER_RUN: usize = 64;
const SIEVE_BITS: Range<usize> = 1 << 16..1 << 20;

/// The part of a value that counts as a find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// Any run of the value.
    Runs,
    /// Any run of the value, ignoring letter case.
    RunsInAnyCase,
    /// The whole value only.
    Values,
}

impl Patterns {
    pub(super) fn new<'s>(
        secrets: impl IntoIterator<Item = (&'s str, &'s str)>,
        sought: Sought,
    ) -> Self {
        Self::with_whole(secrets, [], sought)
    }

    /// Like [`Self::new`], with more values, of which only the whole is a find.
    pub(super) fn with_whole<'s>(
        secrets: impl IntoIterator<Item = (&'s str, &'s str)>,
        whole: impl IntoIterator<Item = (&'s str, &'s str)>,
        sought: Sought,
    ) -> Self {
        let ignores_case = sought == Sought::RunsInAnyCase;
        let mut names = Vec::new();
        let (mut needles, mut tokens) = (Vec::new(), Vec::new());
        let mut all_runs = Vec::new();
        let secrets = secrets.into_iter().map(|secret| (secret, sought));
        let whole = whole.into_iter().map(|secret| (secret, Sought::Values));
        for (secret, ((name, value), sought)) in secrets.chain(whole).enumerate() {
            names.push(Arc::from(name));
            for value in aliases(value) {
                if value.len() < WHOLE_TOKEN_BELOW_BYTES {
                    let mut short = Needle::all(value.as_bytes(), secret, ignores_case);
                    // Keep plain, hex and the first base64 alignment. A whole token stands alone,
                    // so base64 cannot shift it.
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

    /// Iterates over the places of `text` where a secret begins. `more` says that more text may
    /// follow.
    pub(super) fn places<'p>(&'p self, text: &'p [u8], more: bool) -> Places<'p> {
        Places {
            patterns: self,
            text,
            more,
            sieve: Sieve::new(self, text),
        }
    }
}

/// A cursor over the places of one text.
pub(super) struct Places<'p> {
    patterns: &'p Patterns,
    text: &'p [u8],
    more: bool,
    sieve: Sieve<'p>,
}

impl Places<'_> {
    /// Returns the first place from `at` on where something is found or unfinished, or nothing if
    /// there is no such place. `at` must not decrease from call to call. `before` is the text
    /// before this part; `context` says where short values may be found.
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
