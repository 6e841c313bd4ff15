//! Replaces released secrets in text and byte streams, and finds them in outgoing data.
//!
//! A [`Scrubber`] compares decoded characters. Each character of a secret may be spelled as itself
//! or as an escape: of JSON, of a URL, of HTML, of mail (quoted-printable) or of a program's
//! string. Escapes may be nested, up to a fixed depth. A secret is also found in hex (with
//! separators) and in base64 (three alignments, both alphabets, line breaks), and therefore in
//! `Basic` credentials.
//!
//! [`RUN_CHARS`] characters of a secret in a row are a find, so a text that is cut in the middle of
//! a secret gives nothing away. Public parts of a value, such as the prefix of a vendor's keys, are
//! not a find on their own. Each find is replaced by `[redacted:<name>]`.
//!
//! The scrubber is a backstop, not the isolation. It does not decompress or decrypt. It does not
//! decode base64 or hex to look for escapes inside. It does not follow a value that is split over
//! several messages. At the edges of a base64 text, it leaves alone the one character that mixes
//! the secret's first or last byte with its neighbour (at most four bits of that byte).
//!
//! Memory: everything derived from a secret is held in memory that is zeroed when the scrubber is
//! dropped. That is why matching is done here and not by a library's automaton, which would copy
//! the secret into tables that cannot be zeroed. The scrubbed texts belong to the caller.

mod alias;
mod bounds;
mod context;
mod find;
mod needle;
mod pattern;
mod public;
pub mod shown;
mod spelling;
mod stream;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub use self::bounds::{RUN_CHARS, WHOLE_TOKEN_BELOW_BYTES};
use self::context::Context;
use self::find::{Piece, Scan};
use self::pattern::{Patterns, Sought};
pub use self::stream::{Leak, SecretDetector, StreamScrubber};

/// A set of secrets, ready to be found in texts and streams.
pub struct Scrubber {
    patterns: Patterns,
}

/// A text without the secrets of the scrubber that made it.
#[derive(Debug)]
pub struct Scrubbed<'t> {
    /// The text, borrowed if it held no secret.
    pub text: Cow<'t, str>,
    /// The names of the secrets that were replaced, each once, in alphabetical order.
    pub blocked: Vec<String>,
}

/// Bytes without the secrets of the scrubber that made them.
#[derive(Debug)]
pub struct ScrubbedBytes<'t> {
    /// The bytes, borrowed if they held no secret.
    pub bytes: Cow<'t, [u8]>,
    /// The names of the secrets that were replaced, each once, in alphabetical order.
    pub blocked: Vec<String>,
}

impl Scrubber {
    /// A scrubber of these secrets, as pairs of name and value.
    ///
    /// The white space around a value is ignored, so a key that was stored with its line end is
    /// found without it too. An empty value matches nothing. Where two names have the same value,
    /// the first one given is the one that is written.
    ///
    /// ```
    /// use tavora_scrub::Scrubber;
    ///
    /// let scrubber = Scrubber::new([("brave_api_key", "BSA-0123456789")]);
    /// let scrubbed = scrubber.scrub("your key was BSA-0123456789.");
    /// assert_eq!(scrubbed.text, "your key was [redacted:brave_api_key].");
    /// assert_eq!(scrubbed.blocked, ["brave_api_key"]);
    /// ```
    pub fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        Self {
            patterns: Patterns::new(secrets, Sought::Runs),
        }
    }

    /// Like [`Self::new`], for texts whose letter case does not matter, such as names of hosts and
    /// headers. Base64 depends on case and is not looked for in them.
    pub fn ignoring_case<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        Self {
            patterns: Patterns::new(secrets, Sought::RunsInAnyCase),
        }
    }

    /// Like [`Self::new`], but only a whole value is a find, not a part of it.
    pub fn of_whole_values<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        Self {
            patterns: Patterns::new(secrets, Sought::Values),
        }
    }

    /// Like [`Scrubber::new`], with more values, of which only the whole is a find.
    pub fn with_whole<'s>(
        secrets: impl IntoIterator<Item = (&'s str, &'s str)>,
        whole: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Self {
        Self {
            patterns: Patterns::with_whole(secrets, whole, Sought::Runs),
        }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The most bytes that a stream ever holds back.
    pub fn max_held_bytes(&self) -> usize {
        self.patterns.max_held_bytes()
    }

    /// Returns `text` with every secret replaced.
    pub fn scrub<'t>(&self, text: &'t str) -> Scrubbed<'t> {
        self.scrub_text(text, Context::Text)
    }

    /// Like [`Self::scrub`], but ignores short values ([`WHOLE_TOKEN_BELOW_BYTES`]), which can
    /// equal a key or a number by accident.
    pub fn scrub_name<'t>(&self, name: &'t str) -> Scrubbed<'t> {
        self.scrub_text(name, Context::Name)
    }

    fn scrub_text<'t>(&self, text: &'t str, context: Context) -> Scrubbed<'t> {
        let scrubbed = self.scrub_in(text.as_bytes(), context);
        Scrubbed {
            text: match scrubbed.bytes {
                Cow::Borrowed(_) => Cow::Borrowed(text),
                Cow::Owned(bytes) => Cow::Owned(
                    String::from_utf8(bytes)
                        .expect("whole characters are cut out of UTF-8, and that leaves UTF-8"),
                ),
            },
            blocked: scrubbed.blocked,
        }
    }

    /// Returns `bytes` with every secret replaced.
    pub fn scrub_bytes<'t>(&self, bytes: &'t [u8]) -> ScrubbedBytes<'t> {
        self.scrub_in(bytes, Context::Text)
    }

    fn scrub_in<'t>(&self, bytes: &'t [u8], context: Context) -> ScrubbedBytes<'t> {
        let mut clean = Vec::new();
        let mut blocked = BTreeSet::new();
        Scan::of(context).run(&self.patterns, bytes, false, |piece| match piece {
            Piece::Clean(range) if range.len() == bytes.len() => {}
            Piece::Clean(range) => clean.extend_from_slice(&bytes[range]),
            Piece::Secret { name, quote } => {
                write_marker(&mut clean, name, quote);
                if !blocked.contains(name) {
                    blocked.insert(name.to_owned());
                }
            }
        });
        ScrubbedBytes {
            bytes: if blocked.is_empty() {
                Cow::Borrowed(bytes)
            } else {
                Cow::Owned(clean)
            },
            blocked: blocked.into_iter().collect(),
        }
    }

    /// Returns the name of the first secret in `bytes`, in any spelling.
    pub fn contains(&self, bytes: &[u8]) -> Option<&str> {
        let name = Scan::default().first(&self.patterns, bytes, false).err()?;
        self.patterns.names().find(|known| **known == *name)
    }
}

/// Writes the replacement of a secret.
fn write_marker(clean: &mut Vec<u8>, name: &str, quote: &str) {
    for part in [quote, "[redacted:", name, "]", quote] {
        clean.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests;
