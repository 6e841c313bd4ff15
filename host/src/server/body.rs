//! Bodies as the server watches them: a request's must be complete in time, a response's must be taken.
//!
//! How long a body may be is decided where it is collected. What it holds is never looked at here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::pace::{InFlight, Pace, at};
use super::settings::ServerLimits;

/// Why the rest of a request's body does not come.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It took too long.
    #[error(
        "the request's body was not complete within server.limits.request_body_timeout_ms ({timeout_ms}); send it faster"
    )]
    TooSlow {
        /// What it may take, in milliseconds.
        timeout_ms: u64,
    },
    /// The connection ended, or what came is no HTTP.
    #[error("the request's body ended before it was whole; send it again")]
    Broken(#[source] hyper::Error),
}

/// A request's body with the time by which it must be there.
pub(super) struct RequestBody {
    incoming: Incoming,
    due: Instant,
    timeout_ms: u64,
    /// Made when there is something to wait for, which for most bodies there is not.
    timer: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
    pace: Arc<Pace>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, limits: &ServerLimits, pace: &Arc<Pace>) -> Self {
        Self {
            has_ended: incoming.is_end_stream(),
            incoming,
            due: Instant::now() + limits.request_body_timeout(),
            timeout_ms: limits.request_body_timeout_ms,
            timer: None,
            pace: Arc::clone(pace),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        match Pin::new(&mut body.incoming).poll_frame(context) {
            Poll::Ready(None) => {
                body.has_ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(frame)) => Poll::Ready(Some(frame.map_err(BodyError::Broken))),
            Poll::Pending => {
                let due = at(body.due);
                let timer = body
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                timer.as_mut().poll(context).map(|()| {
                    let timeout_ms = body.timeout_ms;
                    Some(Err(BodyError::TooSlow { timeout_ms }))
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.has_ended && !self.incoming.is_end_stream() {
            self.pace.body_left();
        }
    }
}

/// A response's body that says when a piece of it was given, and when the next one is wanted.
pub(super) struct ResponseBody {
    body: axum::body::Body,
    in_flight: InFlight,
}

impl ResponseBody {
    pub(super) fn new(body: axum::body::Body, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.in_flight.taken();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(_))) = &polled {
            self.in_flight.gave(Instant::now());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
