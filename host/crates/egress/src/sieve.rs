//! A body that passes through something that may hold bytes back: what leaves is watched for
//! secrets, what comes back is cleared of them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

/// Limits the empty chunks that are skipped before other tasks get their turn.
pub const MAX_EMPTY_CHUNKS: usize = 64;

/// Examines a body piece by piece. The first error ends the body.
pub(super) trait Sieve: Send + Unpin {
    /// Takes a piece. Returns what can be passed on now.
    fn pass(&mut self, data: Bytes) -> Result<Bytes, WasiError>;
    /// Examines the trailers, after the last piece.
    fn trailers(&mut self, trailers: &mut HeaderMap) -> Result<(), WasiError>;
    /// Returns what was held back, after the last piece and the trailers.
    fn finish(&mut self) -> Result<Bytes, WasiError>;
    /// Turns an error of the body into the one to pass on.
    fn broken(&mut self, error: WasiError) -> WasiError;
    /// The number of bytes that are held back now.
    fn held_bytes(&self) -> usize;
    /// Whether what is passed on is as long as what came.
    fn keeps_the_length(&self) -> bool;
}

/// A body with its sieve.
pub(super) struct Sieved<S> {
    inner: WasiBody,
    sieve: S,
    trailers: Option<HeaderMap>,
    has_ended: bool,
}

impl<S: Sieve> Sieved<S> {
    pub(super) fn new(inner: WasiBody, sieve: S) -> Self {
        Self {
            inner,
            sieve,
            trailers: None,
            has_ended: false,
        }
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, WasiError>>) -> Result<Bytes, WasiError> {
        let Some(frame) = frame else {
            return self.end();
        };
        let frame = frame.map_err(|error| self.sieve.broken(error))?;
        match frame.into_data() {
            Ok(data) => self.sieve.pass(data),
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                self.sieve.trailers(&mut trailers)?;
                self.trailers = Some(trailers);
                self.end()
            }
        }
    }

    fn end(&mut self) -> Result<Bytes, WasiError> {
        self.has_ended = true;
        self.sieve.finish()
    }
}

impl<S: Sieve> Body for Sieved<S> {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = &mut *self;
        // An empty chunk goes to nobody: a connection would keep each until its peer reads.
        for _ in 0..MAX_EMPTY_CHUNKS {
            if this.has_ended {
                let trailers = this.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
            match this.take(frame) {
                Err(error) => {
                    // What is held back may be half of a secret, and is dropped.
                    this.has_ended = true;
                    this.trailers = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let inner_has_ended = self.has_ended || self.inner.is_end_stream();
        inner_has_ended && self.trailers.is_none() && self.sieve.held_bytes() == 0
    }

    fn size_hint(&self) -> SizeHint {
        let is_known = !self.has_ended && self.sieve.held_bytes() == 0;
        match is_known && self.sieve.keeps_the_length() {
            true => self.inner.size_hint(),
            false => SizeHint::default(),
        }
    }
}
