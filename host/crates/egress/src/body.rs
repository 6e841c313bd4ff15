//! The two bodies of an exchange, watched while they stream. The outgoing body is watched for its
//! length and for secrets, the incoming body for its length and for silence. Neither is ever
//! collected.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::denial::Reporter;
use super::failure::of_hyper;
use super::header::refuse_forbidden;
use super::sieve::{Sieve, Sieved};
use super::watch::SecretWatch;
use super::{DenialReason, EgressLimits};

/// What stopped a request's body. It is kept beside the body, because a library
/// stands between the body and the one who waits for the response.
#[derive(Clone, Default)]
pub(super) struct BodyVerdict(Arc<OnceLock<BodyFault>>);

enum BodyFault {
    Denied(DenialReason),
    /// The body is longer than allowed, or its length is not the declared one.
    Size(u64),
    /// The tool itself gave the body up.
    Abandoned,
}

impl BodyFault {
    fn error(&self) -> WasiError {
        match self {
            Self::Denied(_) => WasiError::HttpRequestDenied,
            Self::Size(bytes) => WasiError::HttpRequestBodySize(Some(*bytes)),
            Self::Abandoned => WasiError::HttpProtocolError,
        }
    }
}

impl BodyVerdict {
    /// Returns the error for the code that waits for the response, if the body failed.
    pub(super) fn error(&self) -> Option<WasiError> {
        self.0.get().map(BodyFault::error)
    }
}

/// The sieve of a body that goes out: counts its bytes and looks for secrets that may not leave.
pub(super) struct Outgoing {
    watch: SecretWatch,
    verdict: BodyVerdict,
    reporter: Reporter,
    sent_bytes: u64,
    /// The limit, or the length that the request declares.
    max_bytes: u64,
    declared_bytes: Option<u64>,
}

/// A body that goes out.
pub(super) type RequestBody = Sieved<Outgoing>;

impl Outgoing {
    /// # Errors
    /// What the body declares is too long, or is not what the body has.
    pub(super) fn body(
        inner: WasiBody,
        declared_bytes: Option<u64>,
        watch: SecretWatch,
        limits: &EgressLimits,
        reporter: Reporter,
    ) -> Result<(RequestBody, BodyVerdict), WasiError> {
        let known = inner.size_hint().exact();
        if let (Some(declared), Some(known)) = (declared_bytes, known)
            && declared != known
        {
            // The upstream would take the next request for the rest of this body.
            return Err(WasiError::HttpRequestBodySize(Some(known)));
        }
        let max_bytes = limits.max_request_body_bytes.get();
        if let Some(too_long) = declared_bytes.or(known).filter(|&bytes| bytes > max_bytes) {
            return Err(WasiError::HttpRequestBodySize(Some(too_long)));
        }
        let verdict = BodyVerdict::default();
        let outgoing = Self {
            watch,
            verdict: verdict.clone(),
            reporter,
            sent_bytes: 0,
            max_bytes: declared_bytes.unwrap_or(max_bytes),
            declared_bytes,
        };
        Ok((Sieved::new(inner, outgoing), verdict))
    }

    fn fault(&self, fault: BodyFault) -> WasiError {
        if let BodyFault::Denied(reason) = &fault {
            // The refusal is reported here, because the response can already be on its way.
            self.reporter.report(reason.clone());
        }
        let error = fault.error();
        // A body that failed has ended, so this is the only fault.
        let _ = self.verdict.0.set(fault);
        error
    }

    fn denied(&self, reason: DenialReason) -> WasiError {
        self.fault(BodyFault::Denied(reason))
    }
}

impl Sieve for Outgoing {
    fn pass(&mut self, data: Bytes) -> Result<Bytes, WasiError> {
        self.sent_bytes = self.sent_bytes.saturating_add(data.len() as u64);
        if self.sent_bytes > self.max_bytes {
            return Err(self.fault(BodyFault::Size(self.sent_bytes)));
        }
        let passed = self.watch.pass(data);
        passed.map_err(|reason| self.denied(reason))
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) -> Result<(), WasiError> {
        let checked = refuse_forbidden(trailers);
        let checked = checked.and_then(|()| self.watch.check_trailers(trailers));
        checked.map_err(|reason| self.denied(reason))
    }

    fn finish(&mut self) -> Result<Bytes, WasiError> {
        let declared = self.declared_bytes;
        if declared.is_some_and(|declared| declared != self.sent_bytes) {
            return Err(self.fault(BodyFault::Size(self.sent_bytes)));
        }
        let rest = self.watch.finish();
        rest.map_err(|reason| self.denied(reason))
    }

    fn broken(&mut self, _: WasiError) -> WasiError {
        self.fault(BodyFault::Abandoned)
    }

    fn held_bytes(&self) -> usize {
        self.watch.held_bytes()
    }

    fn keeps_the_length(&self) -> bool {
        true
    }
}

/// The body of an incoming response.
pub(super) struct ResponseBody {
    inner: Incoming,
    max_bytes: u64,
    received_bytes: u64,
    idle_timeout: Duration,
    /// The timer of silence. It runs only while someone waits for the upstream.
    silence: Pin<Box<Sleep>>,
    waiting: bool,
    ended: bool,
    /// Counts the exchange as one of the tool's until the body is read or dropped.
    _permit: OwnedSemaphorePermit,
}

impl ResponseBody {
    pub(super) fn new(
        inner: Incoming,
        idle_timeout: Duration,
        limits: &EgressLimits,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            inner,
            max_bytes: limits.max_response_body_bytes.get(),
            received_bytes: 0,
            idle_timeout,
            silence: Box::pin(tokio::time::sleep(idle_timeout)),
            waiting: false,
            ended: false,
            _permit: permit,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let outcome = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending => {
                if !this.waiting {
                    this.waiting = true;
                    let deadline = Instant::now() + this.idle_timeout;
                    this.silence.as_mut().reset(deadline);
                }
                ready!(this.silence.as_mut().poll(context));
                Some(Err(WasiError::ConnectionReadTimeout))
            }
            Poll::Ready(frame) => {
                this.waiting = false;
                frame.map(|frame| frame.map_err(|error| of_hyper(&error)))
            }
        };
        let outcome = match outcome {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.received_bytes = this.received_bytes.saturating_add(bytes as u64);
                if this.received_bytes > this.max_bytes {
                    Some(Err(WasiError::HttpResponseBodySize(Some(
                        this.received_bytes,
                    ))))
                } else {
                    Some(Ok(frame))
                }
            }
            other => other,
        };
        this.ended = !matches!(outcome, Some(Ok(_)));
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
