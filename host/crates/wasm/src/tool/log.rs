//! Writes a trusted tool's stdout and stderr to the host's log, line by line, scrubbed and within
//! limits.
//!
//! An agent has no such streams. Its `console.log` is a function of `tavora:platform/tools`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use tavora_egress::ReleasedSecrets;
use tavora_scrub::StreamScrubber;
use tavora_telemetry::Metrics;

/// The log of one tool instance. Clones share it.
#[derive(Clone)]
pub(crate) struct ToolLog {
    tool: Arc<str>,
    released: Arc<ReleasedSecrets>,
    pending: Arc<Mutex<Pending>>,
    metrics: Metrics,
}

struct Pending {
    scrubber: StreamScrubber,
    /// The revision of `released` that `scrubber` knows.
    revision: u64,
    /// The scrubbed beginning of a line that has no end yet.
    line: Vec<u8>,
    bytes_left: usize,
}

impl ToolLog {
    pub(crate) fn new(
        tool: Arc<str>,
        released: Arc<ReleasedSecrets>,
        max_bytes: usize,
        metrics: Metrics,
    ) -> Self {
        let pending = Pending {
            revision: released.revision(),
            scrubber: StreamScrubber::new(released.scrubber()),
            line: Vec::new(),
            bytes_left: max_bytes,
        };
        Self {
            tool,
            released,
            pending: Arc::new(Mutex::new(pending)),
            metrics,
        }
    }

    /// Scrubs the log as one stream, not line by line: a credential may have several lines.
    fn append(&self, bytes: &[u8]) {
        let mut pending = self.pending();
        let taken = bytes.len().min(pending.bytes_left);
        if taken == 0 {
            return;
        }
        pending.bytes_left -= taken;
        let revision = self.released.revision();
        if pending.revision != revision {
            pending.scrubber.set_scrubber(self.released.scrubber());
            pending.revision = revision;
        }
        let scrubbed = pending
            .scrubber
            .push(Bytes::copy_from_slice(&bytes[..taken]));
        self.write(&mut pending.line, &scrubbed);
        if pending.bytes_left == 0 {
            // The rest that was held back may be the first half of a credential, so it is not
            // written.
            pending.line.clear();
            self.metrics.limit_hit("limits.tool.max_log_bytes");
            tracing::warn!(
                tool = &*self.tool,
                "limits.tool.max_log_bytes was hit; the rest of this instance's log is dropped"
            );
        }
    }

    /// Writes the rest when the instance has ended.
    pub(crate) fn end(&self) {
        let mut pending = self.pending();
        if pending.bytes_left > 0 {
            let rest = pending.scrubber.finish();
            self.write(&mut pending.line, &rest);
            let line = std::mem::take(&mut pending.line);
            self.write_line(&line);
        }
    }

    fn write(&self, line: &mut Vec<u8>, scrubbed: &[u8]) {
        for byte in scrubbed {
            match byte {
                b'\n' => self.write_line(&std::mem::take(line)),
                _ => line.push(*byte),
            }
        }
    }

    fn write_line(&self, line: &[u8]) {
        if !line.is_empty() {
            let line = String::from_utf8_lossy(line);
            tracing::info!(target: "tavora_host::tool", tool = &*self.tool, "{}", line.escape_debug());
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for ToolLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for ToolLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for ToolLog {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tavora_telemetry::written::Written;

    const VALUE: &str = "canary-7f3d1c9ab2e84655";

    /// Returns the host's log after `parts` were written to a tool's stream. The secrets in
    /// `released` are known from the start, or only after the first part was written.
    fn logged(parts: &[&str], max_bytes: usize, released_first: bool) -> String {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(written.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let released = Arc::new(ReleasedSecrets::new());
            if released_first {
                released.add("key", VALUE, None);
            }
            let metrics = Metrics::new();
            let log = ToolLog::new("mine".into(), Arc::clone(&released), max_bytes, metrics);
            for part in parts {
                log.append(part.as_bytes());
                released.add("key", VALUE, None);
            }
            log.end();
        });
        written.text()
    }

    #[test]
    fn a_credential_is_taken_out_wherever_a_write_cuts_it() {
        for released_first in [true, false] {
            for cut in 1..VALUE.len() {
                let (first, second) = VALUE.split_at(cut);
                let parts = ["hello\n", "key=", first, second, ", done"];
                let text = logged(&parts, 1000, released_first);
                assert!(text.contains("key=[redacted:key], done"), "{cut}: {text}");
                assert!(!text.contains("7f3d"), "{cut}: {text}");
            }
        }
    }

    #[test]
    fn the_rest_is_dropped_when_the_limit_is_hit() {
        // A line that ends in a letter may be held back, because the next line could continue a
        // credential.
        let text = logged(&["one.\ntwo.\n", "three.\nfour.\n", "five.\n"], 17, true);
        assert!(text.contains("two") && text.contains("three"), "{text}");
        assert!(text.contains("limits.tool.max_log_bytes"), "{text}");
        assert!(!text.contains("four") && !text.contains("five"), "{text}");
    }

    #[test]
    fn a_credential_that_the_limit_cuts_leaves_no_half() {
        let text = logged(&["key=", VALUE, "\n"], 20, true);
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn a_line_cannot_be_made_to_look_like_two() {
        let text = logged(&["a\rb\u{1b}[31m\u{2028}c\n"], 100, true);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(['\r', '\u{1b}', '\u{2028}']), "{text:?}");
    }
}
