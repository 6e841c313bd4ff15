//! The forms of a set of secrets, arranged to be found: the leftmost first, and
//! of those the longest. It knows nothing of what happens to a find.
//!
//! A text is looked at byte by byte; only where a form begins with that byte are
//! forms compared. That is linear for anything but a secret that repeats itself.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::WHOLE_TOKEN_BELOW_BYTES;
use super::form::{Form, forms};

/// One form of one secret.
struct Pattern {
    form: Form,
    /// Which secret, as an index into the names.
    secret: usize,
    whole_token: bool,
}

/// What is at one place of a text.
enum Place {
    /// A form of this length, of this secret.
    Found {
        len: usize,
        secret: usize,
    },
    /// Nothing yet: more text could make it a form, or a longer one.
    Unfinished,
    Nothing,
}

/// All forms of a set of secrets.
pub(super) struct Patterns {
    names: Vec<String>,
    replacements: Vec<Vec<u8>>,
    /// Grouped by their first byte; in each group the longest first.
    patterns: Vec<Pattern>,
    /// For each byte, the group of the patterns that begin with it.
    groups: Box<[Range<usize>; 256]>,
}

impl Patterns {
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        for (secret, (name, value)) in secrets.into_iter().enumerate() {
            let trimmed = value.trim();
            let value = if trimmed.is_empty() { value } else { trimmed };
            let whole_token = value.len() < WHOLE_TOKEN_BELOW_BYTES;
            names.push(name.to_owned());
            patterns.extend(
                forms(value)
                    .into_iter()
                    .filter(|form| !form.is_empty())
                    .map(|form| Pattern {
                        form,
                        secret,
                        whole_token,
                    }),
            );
        }
        // Of equal forms, one that matches everywhere stays; then the one that was
        // given first, because the sort is stable.
        patterns.sort_by(|a, b| {
            let key = (a.form[0], b.form.len(), &*a.form, a.whole_token);
            key.cmp(&(b.form[0], a.form.len(), &*b.form, b.whole_token))
        });
        patterns.dedup_by(|later, earlier| later.form == earlier.form);

        let mut groups = Box::new([const { 0..0 }; 256]);
        for (index, pattern) in patterns.iter().enumerate() {
            let group = &mut groups[usize::from(pattern.form[0])];
            if group.start == group.end {
                group.start = index;
            }
            group.end = index + 1;
        }
        Self {
            replacements: names
                .iter()
                .map(|name| format!("[redacted:{name}]").into_bytes())
                .collect(),
            names,
            patterns,
            groups,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn name(&self, secret: usize) -> &str {
        &self.names[secret]
    }

    pub(super) fn replacement(&self, secret: usize) -> &[u8] {
        &self.replacements[secret]
    }

    pub(super) fn names_of(&self, secrets: impl IntoIterator<Item = usize>) -> Vec<String> {
        let names: BTreeSet<&str> = secrets.into_iter().map(|s| self.name(s)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// One less than the longest form; a whole token also waits for what follows it.
    pub(super) fn max_held_bytes(&self) -> usize {
        self.patterns
            .iter()
            .map(|p| p.form.len() - usize::from(!p.whole_token))
            .max()
            .unwrap_or(0)
    }

    /// Tells `found` each form in `text`, with the index of its secret, until it
    /// breaks. `before` is the byte before the text; `more` tells that more text
    /// may follow. Gives the place up to which the text is settled: its end,
    /// unless what follows could still change what is found from there on.
    pub(super) fn scan(
        &self,
        text: &[u8],
        before: Option<u8>,
        more: bool,
        mut found: impl FnMut(Range<usize>, usize) -> ControlFlow<()>,
    ) -> usize {
        let mut at = 0;
        while at < text.len() {
            let group = self.groups[usize::from(text[at])].clone();
            if group.start == group.end {
                at += 1;
                continue;
            }
            let before = if at == 0 { before } else { Some(text[at - 1]) };
            match self.place(&self.patterns[group], &text[at..], before, more) {
                Place::Found { len, secret } => {
                    if found(at..at + len, secret).is_break() {
                        return at;
                    }
                    at += len;
                }
                Place::Unfinished => return at,
                Place::Nothing => at += 1,
            }
        }
        at
    }

    fn place(&self, group: &[Pattern], rest: &[u8], before: Option<u8>, more: bool) -> Place {
        for pattern in group {
            if pattern.whole_token && before.is_some_and(is_token_byte) {
                continue;
            }
            let form = pattern.form.as_slice();
            if rest.len() < form.len() {
                if more && form.starts_with(rest) {
                    return Place::Unfinished;
                }
                continue;
            }
            if !rest.starts_with(form) {
                continue;
            }
            if pattern.whole_token {
                match rest.get(form.len()) {
                    None if more => return Place::Unfinished,
                    Some(&byte) if is_token_byte(byte) => continue,
                    _ => {}
                }
            }
            return Place::Found {
                len: form.len(),
                secret: pattern.secret,
            };
        }
        Place::Nothing
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
