//! A request's body that can be sent a second time. The sent part is kept, up to a limit, until the
//! answer begins. The caller decides when to send the body again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::Error as WasiError;

use super::body::RequestBody;

/// Hands the body to one attempt after the other.
pub(super) struct Resend(Arc<Mutex<Shared>>);

struct Shared {
    body: RequestBody,
    kept: Vec<Kept>,
    kept_bytes: u64,
    max_kept_bytes: u64,
    /// Whether the beginning is kept. It is dropped once it exceeds the limit.
    is_kept: bool,
    /// The number of the attempt that may read.
    current: usize,
}

enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// The body as one attempt sends it.
pub(super) struct SentBody {
    shared: Arc<Mutex<Shared>>,
    number: usize,
    /// The number of kept frames that this attempt has sent.
    passed: usize,
}

impl Resend {
    /// Returns a body of which no more than `max_kept_bytes` are kept.
    pub(super) fn new(body: RequestBody, max_kept_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            body,
            kept: Vec::new(),
            kept_bytes: 0,
            max_kept_bytes,
            is_kept: true,
            current: 0,
        })))
    }

    /// Returns the body for the next attempt, or `None` if its beginning was not kept.
    pub(super) fn next(&self) -> Option<SentBody> {
        let mut shared = lock(&self.0);
        shared.current += 1;
        shared.is_kept.then(|| SentBody {
            shared: Arc::clone(&self.0),
            number: shared.current,
            passed: 0,
        })
    }
}

impl Shared {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if !self.is_kept {
            return;
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.kept_bytes = self.kept_bytes.saturating_add(bytes);
        if self.kept_bytes > self.max_kept_bytes {
            self.is_kept = false;
            self.kept = Vec::new();
            return;
        }
        let kept = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Kept::Data(data.clone()),
            (None, Some(trailers)) => Kept::Trailers(trailers.clone()),
            (None, None) => return,
        };
        self.kept.push(kept);
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = &mut *self;
        let mut shared = lock(&this.shared);
        if shared.current != this.number {
            return Poll::Ready(Some(Err(WasiError::ConnectionTerminated)));
        }
        if let Some(kept) = shared.kept.get(this.passed) {
            this.passed += 1;
            return Poll::Ready(Some(Ok(match kept {
                Kept::Data(data) => Frame::data(data.clone()),
                Kept::Trailers(trailers) => Frame::trailers(trailers.clone()),
            })));
        }
        let polled = Pin::new(&mut shared.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            shared.keep(frame);
            this.passed = shared.kept.len();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        self.passed >= shared.kept.len() && shared.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        match self.passed < shared.kept.len() {
            // The length that the tool declares is in a header.
            true => SizeHint::default(),
            false => shared.body.size_hint(),
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
