//! A request's body that is passed on as it comes, within its length, to someone who cannot tell the client what is
//! wrong with it: that is kept beside the body.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use http_body::Frame;

use super::{ApiError, LengthLimit, check_declared, incomplete, refuse_compressed, too_long};

/// The body.
pub struct StreamedBody {
    inner: Body,
    passed_bytes: usize,
    limit: LengthLimit,
    fault: Fault,
}

/// Why the body did not come whole; a clone is of the same body.
#[derive(Clone, Default)]
pub struct Fault(Arc<Mutex<Option<ApiError>>>);

/// The body ended before it was whole.
#[derive(Debug, thiserror::Error)]
#[error("the body ended before it was whole")]
pub struct Incomplete;

impl StreamedBody {
    /// # Errors
    /// The body declares to be compressed, or longer than it may be.
    pub(crate) fn new(
        headers: &HeaderMap,
        inner: Body,
        limit: LengthLimit,
    ) -> Result<(Self, Fault), ApiError> {
        refuse_compressed(headers)?;
        check_declared(headers, limit)?;
        let fault = Fault::default();
        let body = Self {
            inner,
            passed_bytes: 0,
            limit,
            fault: fault.clone(),
        };
        Ok((body, fault))
    }

    fn check(
        &mut self,
        frame: Result<Frame<Bytes>, axum::Error>,
    ) -> Result<Frame<Bytes>, ApiError> {
        let frame = frame.map_err(|error| incomplete(&error))?;
        self.passed_bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.passed_bytes > self.limit.bytes {
            return Err(too_long(self.limit));
        }
        Ok(frame)
    }
}

impl Fault {
    /// What the client is to be told, if there is something.
    pub fn take(&self) -> Option<ApiError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl http_body::Body for StreamedBody {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(self.check(frame).map_err(|error| {
            let mut fault = self.fault.0.lock().unwrap_or_else(PoisonError::into_inner);
            *fault = Some(error);
            Incomplete
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
