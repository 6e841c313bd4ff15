//! Counts the bytes that arrive on a connection after it was handed to a request. The count
//! distinguishes a connection that died while idle from an upstream that failed in the middle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that counts incoming bytes, without those of TLS itself.
pub(super) struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            received: Arc::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        self.received.fetch_add(bytes as u64, Ordering::AcqRel);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: HasConnection> Connection for Counted<S> {
    fn connected(&self) -> Connected {
        let traffic = Traffic::Running(Arc::clone(&self.received));
        self.stream.connection().extra(traffic)
    }
}

/// A stream that can return the connection below it.
pub(super) trait HasConnection {
    fn connection(&self) -> Connected;
}

impl<C: Connection> HasConnection for hyper_util::rt::TokioIo<C> {
    fn connection(&self) -> Connected {
        self.inner().connected()
    }
}

/// The incoming traffic of a connection. The pool clones this value when it hands the connection to
/// a request, and the clone keeps the count of that moment.
enum Traffic {
    Running(Arc<AtomicU64>),
    Handed {
        received: Arc<AtomicU64>,
        before: u64,
    },
}

impl Clone for Traffic {
    fn clone(&self) -> Self {
        let (received, before) = match self {
            Self::Running(received) => (received, received.load(Ordering::Acquire)),
            Self::Handed { received, before } => (received, *before),
        };
        Self::Handed {
            received: Arc::clone(received),
            before,
        }
    }
}

/// Whether the connection had served another request before, and has received nothing since it was
/// handed to this one.
pub(super) fn was_reused_and_silent(connection: &CaptureConnection) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connected) = &*connection.connection_metadata() {
        connected.get_extras(&mut extras);
    }
    match extras.get() {
        Some(Traffic::Handed { received, before }) => {
            *before > 0 && received.load(Ordering::Acquire) == *before
        }
        _ => false,
    }
}
