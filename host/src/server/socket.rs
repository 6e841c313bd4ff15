//! A stream of bytes under HTTP: it tells the connection's pace what comes in, and outlives the library that uses it.
//!
//! TLS or not is no difference here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::oneshot;

use super::pace::Pace;
use super::settings::ServerLimits;

/// Plain or encrypted.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream on loan to hyper, which consumes what it is given.
pub(super) struct Socket {
    /// `None` only while it is dropped.
    stream: Option<Box<dyn Stream>>,
    pace: Arc<Pace>,
    back: Option<oneshot::Sender<Box<dyn Stream>>>,
}

/// Where the stream comes back to.
pub(super) type Returned = oneshot::Receiver<Box<dyn Stream>>;

impl Socket {
    pub(super) fn new(stream: Box<dyn Stream>, pace: &Arc<Pace>) -> (Self, Returned) {
        let (back, returned) = oneshot::channel();
        let socket = Self {
            stream: Some(stream),
            pace: Arc::clone(pace),
            back: Some(back),
        };
        (socket, returned)
    }

    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        let stream = self.stream.as_deref_mut();
        Pin::new(stream.expect("it is there until it is dropped"))
    }
}

/// Closes a stream whose client may still be sending. What it sends is read and dropped for a while: a socket that is
/// closed with unread bytes is reset, and the client's system then throws away the answer with them (RFC 9112, 9.6).
pub(super) async fn close_gently(mut stream: Box<dyn Stream>, limits: &ServerLimits) {
    let discarding = async {
        stream.shutdown().await?;
        let mut buffer = [0; 8_192];
        let mut left = limits.max_discarded_bytes;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the stream is closed next.
    let _ = tokio::time::timeout(limits.discard_timeout(), discarding).await;
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream().poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.received(Instant::now());
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|it| it.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let (Some(back), Some(stream)) = (self.back.take(), self.stream.take()) {
            // Where nobody waits for it, it is closed.
            let _ = back.send(stream);
        }
    }
}
