//! Where a trusted tool's stdout and stderr go: to the host's log, line by line, scrubbed and bounded.
//!
//! An agent has no such stream; its `console.log` is a function of `tavora:platform/tools`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use zeroize::Zeroize;

use crate::egress::ReleasedSecrets;

/// One tool instance's log.
#[derive(Clone)]
pub(crate) struct ToolLog {
    tool: Arc<str>,
    released: Arc<ReleasedSecrets>,
    pending: Arc<Mutex<Pending>>,
}

struct Pending {
    line: Vec<u8>,
    bytes_left: usize,
}

impl ToolLog {
    pub(crate) fn new(tool: Arc<str>, released: Arc<ReleasedSecrets>, max_bytes: usize) -> Self {
        let pending = Pending {
            line: Vec::new(),
            bytes_left: max_bytes,
        };
        Self {
            tool,
            released,
            pending: Arc::new(Mutex::new(pending)),
        }
    }

    fn append(&self, bytes: &[u8]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = bytes.len().min(pending.bytes_left);
        pending.bytes_left -= taken;
        // Only whole lines are written: half a line could hold half a credential, which no scrubbing would know.
        for byte in &bytes[..taken] {
            match byte {
                b'\n' => self.emit(&std::mem::take(&mut pending.line)),
                _ => pending.line.push(*byte),
            }
        }
        if taken > 0 && pending.bytes_left == 0 {
            pending.line.zeroize();
            tracing::warn!(
                tool = &*self.tool,
                "limits.tool.max_log_bytes was hit; the rest of this instance's log is dropped"
            );
        }
    }

    fn emit(&self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line);
        let scrubbed = self.released.scrubber().scrub(&text).text.into_owned();
        tracing::info!(target: "tavora_host::tool", tool = &*self.tool, "{}", scrubbed.escape_debug());
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
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
