//! Watches bodies for the server: a request's body must arrive in time, and the client must take a
//! response's body.
//!
//! The code that collects a body limits its length. The content is never examined here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::{Sleep, timeout};

use super::gate::Turn;
use super::pace::{InFlight, Pace, at};
use super::settings::ServerLimits;
use super::shared::Shared;

/// Why the rest of a request's body does not arrive.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body took too long.
    #[error(
        "the request's body was not complete within server.limits.request_body_timeout_ms ({timeout_ms}); send it faster"
    )]
    TooSlow {
        /// The time allowed, in milliseconds.
        timeout_ms: u64,
    },
    /// The connection ended, or its bytes were not HTTP.
    #[error("the request's body ended before it was whole; send it again")]
    Broken(#[source] hyper::Error),
}

/// A request's body with its deadline.
pub(super) struct RequestBody {
    /// `None` only during drop.
    incoming: Option<Incoming>,
    is_multiplexed: bool,
    due: Instant,
    /// The timer of the deadline, created at the first wait. Most bodies never wait.
    timer: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
    /// Whether the pace counts this body as waiting for the client.
    is_awaited: bool,
    /// The gate's turn, which ends at the first wait for the client.
    turn: Option<Arc<Turn>>,
    shared: Arc<Shared>,
    pace: Arc<Pace>,
}

impl RequestBody {
    pub(super) fn of(
        request: Request<Incoming>,
        shared: &Arc<Shared>,
        pace: &Arc<Pace>,
        turn: Option<Arc<Turn>>,
    ) -> Request<axum::body::Body> {
        let is_multiplexed = request.version() == Version::HTTP_2;
        request.map(|incoming| {
            if incoming.is_end_stream() {
                return axum::body::Body::empty();
            }
            axum::body::Body::new(Self {
                incoming: Some(incoming),
                is_multiplexed,
                due: Instant::now() + shared.limits.request_body_timeout(),
                timer: None,
                has_ended: false,
                is_awaited: false,
                turn,
                shared: Arc::clone(shared),
                pace: Arc::clone(pace),
            })
        })
    }

    fn incoming(&self) -> &Incoming {
        let incoming = self.incoming.as_ref();
        incoming.expect("it is there until it is dropped")
    }

    fn await_client(&mut self, is_awaited: bool) {
        if let Some(turn) = self.turn.take_if(|_| is_awaited) {
            turn.end();
        }
        match (self.is_awaited, is_awaited) {
            (false, true) => self.pace.body_awaited(),
            (true, false) => self.pace.body_settled(),
            _ => {}
        }
        self.is_awaited = is_awaited;
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
        let incoming = body.incoming.as_mut();
        let incoming = incoming.expect("it is there until it is dropped");
        let polled = Pin::new(incoming).poll_frame(context);
        body.await_client(polled.is_pending());
        match polled {
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
                    let timeout_ms = body.shared.limits.request_body_timeout_ms;
                    Some(Err(BodyError::TooSlow { timeout_ms }))
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming().size_hint()
    }
}

/// Handles a body that was not read to its end. The answer may come before the body is complete,
/// and the client may read it only after it has sent everything.
impl Drop for RequestBody {
    fn drop(&mut self) {
        self.await_client(false);
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        if self.has_ended || incoming.is_end_stream() {
            return;
        }
        if !self.is_multiplexed {
            // The connection ends with this answer, and `close_gently` closes it.
            return self.pace.body_left();
        }
        // Resetting the stream right after the answer makes some clients lose the answer, so the
        // rest is read and discarded. Each discard takes memory: beyond `http2_max_discards` the
        // stream is reset.
        let place = Arc::clone(&self.shared.discards).try_acquire_owned();
        if let (Ok(place), Ok(runtime)) = (place, Handle::try_current()) {
            let limits = self.shared.limits;
            runtime.spawn(async move {
                discard(incoming, limits).await;
                drop(place);
            });
        }
    }
}

/// Reads and drops the rest of a body, within the limits on bytes and time.
async fn discard(mut body: Incoming, limits: ServerLimits) {
    let discarding = async {
        let mut left = limits.max_discarded_bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // If there is more, the stream is reset.
    let _ = timeout(limits.discard_timeout(), discarding).await;
}

/// A response's body that tells the pace when a piece was given to the client, and when the next
/// one is wanted.
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
