//! Scrubs streams. Chunks are treated as one text, and only a tail that could still become part of
//! a secret is held back. Boundaries between messages are not known here.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::Scrubber;
use super::context::{Context, Walk};
use super::find::{Piece, Scan};

/// Replaces secrets in a stream of bytes.
pub struct StreamScrubber {
    scrubber: Arc<Scrubber>,
    window: Window,
    blocked: BTreeSet<String>,
}

impl StreamScrubber {
    /// Returns a scrubber for a new stream.
    pub fn new(scrubber: Arc<Scrubber>) -> Self {
        Self {
            scrubber,
            window: Window::default(),
            blocked: BTreeSet::new(),
        }
    }

    /// Like [`Self::new`], for JSON and for events that carry JSON. A short value is replaced only
    /// inside strings, so that the output is still JSON.
    pub fn of_json(scrubber: Arc<Scrubber>) -> Self {
        let mut stream = Self::new(scrubber);
        stream.window.scan = Scan::of(Context::Json(Walk::default()));
        stream
    }

    /// Replaces the set of secrets from here on, after one more was released.
    pub fn set_scrubber(&mut self, scrubber: Arc<Scrubber>) {
        self.scrubber = scrubber;
    }

    /// Returns the bytes that can be passed on after `chunk`. If there is no find, this is the
    /// chunk itself and not a copy.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let text = self.window.joined(chunk);
        self.settle(text, true)
    }

    /// Returns the bytes that are left when the stream has ended.
    pub fn finish(&mut self) -> Bytes {
        let text = self.window.joined(Bytes::new());
        self.settle(text, false)
    }

    /// The number of bytes held back now.
    pub fn held_bytes(&self) -> usize {
        self.window.held.len()
    }

    /// The names of the secrets that were replaced so far.
    pub fn blocked(&self) -> impl Iterator<Item = &str> {
        self.blocked.iter().map(String::as_str)
    }

    fn settle(&mut self, text: Bytes, more: bool) -> Bytes {
        let mut clean = Vec::new();
        let mut only = None;
        let mut has_changed = false;
        let Self {
            scrubber,
            window,
            blocked,
        } = self;
        let settled = window.scan.run(&scrubber.patterns, &text, more, |piece| {
            // A single clean piece is passed on without a copy.
            if let Some(first) = only.take() {
                clean.extend_from_slice(&text[first]);
                has_changed = true;
            }
            match piece {
                Piece::Clean(range) if !has_changed => only = Some(range),
                Piece::Clean(range) => clean.extend_from_slice(&text[range]),
                Piece::Secret { name, quote } => {
                    has_changed = true;
                    super::write_marker(&mut clean, name, quote);
                    if !blocked.contains(name) {
                        blocked.insert(name.to_owned());
                    }
                }
            }
        });
        window.hold(&text, settled);
        match only {
            Some(range) => text.slice(range),
            None => Bytes::from(clean),
        }
    }
}

/// A secret was found in a stream that must not carry it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream carries the secret \"{name}\"; nothing of it was passed on")]
pub struct Leak {
    /// The name of the secret.
    pub name: String,
}

/// Stops a stream of bytes before the first byte of a secret is passed on.
pub struct SecretDetector {
    scrubber: Arc<Scrubber>,
    window: Window,
}

impl SecretDetector {
    /// Returns a detector for a new stream.
    pub fn new(scrubber: Arc<Scrubber>) -> Self {
        Self {
            scrubber,
            window: Window::default(),
        }
    }

    /// Replaces the set of secrets from here on, after one more was released.
    pub fn set_scrubber(&mut self, scrubber: Arc<Scrubber>) {
        self.scrubber = scrubber;
    }

    /// Returns the bytes that can be passed on after `chunk`.
    ///
    /// # Errors
    /// A secret is in the stream. The stream must end here.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, Leak> {
        let text = self.window.joined(chunk);
        self.settle(text, true)
    }

    /// Returns the bytes that are left when the stream has ended.
    ///
    /// # Errors
    /// A secret is in the remaining bytes.
    pub fn finish(&mut self) -> Result<Bytes, Leak> {
        let text = self.window.joined(Bytes::new());
        self.settle(text, false)
    }

    /// The number of bytes held back now.
    pub fn held_bytes(&self) -> usize {
        self.window.held.len()
    }

    fn settle(&mut self, text: Bytes, more: bool) -> Result<Bytes, Leak> {
        let patterns = &self.scrubber.patterns;
        let first = self.window.scan.first(patterns, &text, more);
        let settled = first.map_err(|name| Leak {
            name: name.to_string(),
        })?;
        self.window.hold(&text, settled);
        Ok(text.slice(..settled))
    }
}

/// The unsettled part of a stream, and what is known of the part before it.
#[derive(Default)]
struct Window {
    held: Zeroizing<Vec<u8>>,
    scan: Scan,
}

impl Window {
    /// Returns the held bytes and the new chunk in one piece.
    fn joined(&mut self, chunk: Bytes) -> Bytes {
        if self.held.is_empty() {
            return chunk;
        }
        let mut text = Vec::with_capacity(self.held.len() + chunk.len());
        text.extend_from_slice(&self.held);
        text.extend_from_slice(&chunk);
        self.held = Zeroizing::default();
        Bytes::from_owner(Zeroizing::new(text))
    }

    /// Holds the bytes after the settled part.
    fn hold(&mut self, text: &[u8], settled: usize) {
        self.held = Zeroizing::new(text[settled..].to_vec());
    }
}
