//! Turns runs into finds. Overlapping runs become one find, and a find never splits an escape: JSON
//! stays JSON after a replacement.

use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::bounds::MAX_NUMBER_BYTES;
use super::context::Context;
use super::pattern::{Found, Patterns, Place};
use super::spelling::MAX_SPELLING_BYTES;

/// A piece of a text.
pub(super) enum Piece<'n> {
    /// No secret is in this range.
    Clean(Range<usize>),
    /// A value of the secret `name` was here. Its replacement is written between two `quote`s.
    Secret { name: &'n str, quote: &'n str },
}

/// Scans a text that comes in parts. Each part begins where the previous one was settled.
#[derive(Default)]
pub(super) struct Scan {
    /// The last bytes before the current part, at most [`MAX_SPELLING_BYTES`].
    before: Zeroizing<Vec<u8>>,
    /// The current find, which the next run may extend.
    open: Option<Open>,
    context: Context,
}

struct Open {
    end: usize,
    /// The secrets that the whole find can belong to.
    names: Vec<Arc<str>>,
    /// The secret whose value ends where the find ends.
    ended: Option<Arc<str>>,
    /// The find touches a JSON number, so the whole number is replaced.
    is_number: bool,
}

impl Open {
    fn new(found: Found, end: usize, is_number: bool) -> Self {
        Self {
            end,
            names: found.names,
            ended: found.ended,
            is_number,
        }
    }

    fn piece(&self) -> Piece<'_> {
        Piece::Secret {
            name: self.name(),
            quote: if self.is_number { "\"" } else { "" },
        }
    }

    fn name(&self) -> &str {
        let whole = self.ended.as_ref().filter(|it| self.names.contains(it));
        whole.or(self.names.first()).map_or("", |name| name)
    }

    /// Merges an overlapping run into this find, if both can belong to the same secret.
    fn join(&mut self, found: &Found, end: usize) -> bool {
        let common = |name: &&Arc<str>| found.names.contains(name);
        let names: Vec<_> = self.names.iter().filter(common).cloned().collect();
        if names.is_empty() {
            return false;
        }
        self.names = names;
        if end >= self.end {
            self.end = end;
            self.ended.clone_from(&found.ended);
        }
        true
    }
}

impl Scan {
    /// Returns a scan of a text of this kind.
    pub(super) fn of(context: Context) -> Self {
        Self {
            context,
            ..Self::default()
        }
    }

    /// Passes the pieces of `text` to `each`. Returns the offset up to which the text is settled.
    /// That is its end, unless `more` text may follow and could change what is found after the
    /// offset.
    pub(super) fn run(
        &mut self,
        patterns: &Patterns,
        text: &[u8],
        more: bool,
        mut each: impl FnMut(Piece<'_>),
    ) -> usize {
        let (mut at, mut passed) = (0, 0);
        let start = self.context.walk();
        let mut places = patterns.places(text, more);
        let settled = loop {
            let next = places.next(at, &self.before, &mut self.context);
            let (place_at, place) = next.unwrap_or((text.len(), Place::Nothing));
            if let Some(open) = self.open.take_if(|open| open.end <= place_at) {
                each(open.piece());
                passed = open.end;
            }
            let found = match place {
                Place::Nothing => break text.len(),
                Place::Unfinished => break escape_around(text, place_at).start,
                Place::Found(found) => found,
            };
            let end = escape_around(text, found.end).end;
            if end > text.len() && more {
                break escape_around(text, place_at).start;
            }
            let mut end = end.min(text.len());
            let mut start = escape_around(text, place_at).start;
            let is_number = self.context.is_number(text, place_at);
            if is_number {
                let is_of_number = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let before = text[passed.min(start)..start].iter().rev();
                start -= before
                    .take(MAX_NUMBER_BYTES)
                    .take_while(is_of_number)
                    .count();
                let after = text[end..].iter().take(MAX_NUMBER_BYTES);
                end += after.take_while(is_of_number).count();
                if end == text.len() && more {
                    break start;
                }
            }
            match &mut self.open {
                None => {
                    // A value may be stored with its scheme ("Bearer KEY"). The blank before KEY
                    // belongs to the text, not to the find.
                    let blanks = text[start..end].iter().take_while(|&&it| it == b' ');
                    let start = start + blanks.count();
                    each(Piece::Clean(passed..start.max(passed)));
                    passed = passed.max(start);
                    self.open = Some(Open::new(found, end, is_number));
                }
                Some(open) => {
                    if !open.join(&found, end) && end > open.end {
                        // The next find begins before this one ends.
                        each(open.piece());
                        passed = open.end;
                        *open = Open::new(found, end, is_number);
                    }
                }
            }
            at = place_at + 1;
        };
        match &mut self.open {
            Some(open) => open.end -= settled,
            None => each(Piece::Clean(passed..settled.max(passed))),
        }
        self.context.settle(start, text, settled);
        self.remember(&text[..settled]);
        settled
    }

    /// Returns the name of the first secret in the text as an error. Otherwise returns the offset
    /// up to which the text is settled.
    pub(super) fn first(
        &mut self,
        patterns: &Patterns,
        text: &[u8],
        more: bool,
    ) -> Result<usize, Arc<str>> {
        let mut places = patterns.places(text, more);
        let settled = match places.next(0, &self.before, &mut self.context) {
            None | Some((_, Place::Nothing)) => text.len(),
            Some((at, Place::Unfinished)) => at,
            Some((_, Place::Found(found))) => {
                return Err(found.names.into_iter().next().unwrap_or_default());
            }
        };
        self.remember(&text[..settled]);
        Ok(settled)
    }

    fn remember(&mut self, text: &[u8]) {
        let last = &text[text.len().saturating_sub(MAX_SPELLING_BYTES)..];
        let surplus = (self.before.len() + last.len()).saturating_sub(MAX_SPELLING_BYTES);
        self.before.drain(..surplus);
        self.before.extend_from_slice(last);
    }
}

/// Returns the range of the JSON string escape that `at` lies inside of, or `at..at` if it lies in
/// none. The range can end beyond the text.
fn escape_around(text: &[u8], at: usize) -> Range<usize> {
    const LONGEST: usize = "\\u0041".len();
    let within = text[..at].iter().rev().take(LONGEST - 1);
    let Some(back) = within.clone().position(|&byte| byte == b'\\') else {
        return at..at;
    };
    let start = at - back - 1;
    let slashes = text[..=start]
        .iter()
        .rev()
        .take_while(|&&byte| byte == b'\\')
        .count();
    if slashes % 2 == 0 {
        // This backslash is the second half of an escaped backslash.
        return at..at;
    }
    let end = match text.get(start + 1) {
        Some(b'u') => {
            let digits = text[start + 2..].iter().take(4);
            match digits.clone().all(u8::is_ascii_hexdigit) {
                // If the text ends too soon, the rest of the escape is still to come.
                true => start + LONGEST,
                false => start + 2,
            }
        }
        Some(byte) if !byte.is_ascii() => start + 1,
        _ => start + 2,
    };
    if at < end { start..end } else { at..at }
}
