//! What an upstream answers, without the credentials that were lent for it: an upstream that
//! repeats a request would otherwise show a tool what it may use and not see.
//!
//! It knows the spellings that the scrubber knows. An upstream that hides a credential on purpose
//! has it already, and is trusted by whoever bound the secret to it.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::body::MAX_EMPTY_CHUNKS;
use super::denial::Reporter;
use super::stand_in::Holder;
use super::{Origin, ReleasedSecrets, header};
use tavora_scrub::StreamScrubber;

/// Takes the credentials out of the head of a response, or out of trailers.
pub(super) fn scrub_headers(
    released: &ReleasedSecrets,
    to: &(Holder, Origin),
    headers: &mut HeaderMap,
    reporter: &Reporter,
) {
    let Some(scrubbers) = released.of_lent(to) else {
        return;
    };
    let mut found = BTreeSet::new();
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        // Names are in lower case, whatever the value was in.
        if let Some(secret) = scrubbers.names.contains(name.as_str().as_bytes()) {
            found.insert(secret.to_owned());
            headers.remove(name);
        }
    }
    for value in headers.values_mut() {
        let scrubbed = scrubbers.texts.scrub_bytes(value.as_bytes());
        if scrubbed.blocked.is_empty() {
            continue;
        }
        let clean = HeaderValue::from_bytes(&scrubbed.bytes);
        found.extend(scrubbed.blocked);
        *value = clean.unwrap_or(HeaderValue::from_static(""));
    }
    found.iter().for_each(|secret| reporter.echoed(secret));
}

/// The body of a response.
pub(super) fn scrubbed(
    released: Arc<ReleasedSecrets>,
    to: (Holder, Origin),
    can_lend: bool,
    method: &Method,
    headers: &mut HeaderMap,
    body: WasiBody,
    reporter: Reporter,
) -> WasiBody {
    if (can_lend || released.of_lent(&to).is_some()) && *method != Method::HEAD {
        // What is taken out has another length than what stands in its place.
        headers.remove(CONTENT_LENGTH);
    }
    EchoBody {
        inner: body,
        scrubber: None,
        revision: 0,
        reported: 0,
        is_json: header::carries_json(headers),
        released,
        to,
        reporter,
        trailers: None,
        has_ended: false,
    }
    .boxed_unsync()
}

struct EchoBody {
    inner: WasiBody,
    /// Once there was something to look for.
    scrubber: Option<StreamScrubber>,
    /// Of the secrets that the scrubber knows.
    revision: u64,
    /// How many secrets were taken out and reported.
    reported: usize,
    /// In JSON, a short value is taken out of texts alone.
    is_json: bool,
    released: Arc<ReleasedSecrets>,
    /// The instance that reads it, and the origin that it comes from.
    to: (Holder, Origin),
    reporter: Reporter,
    trailers: Option<HeaderMap>,
    has_ended: bool,
}

impl EchoBody {
    /// A secret can be lent after the response has begun.
    fn refresh(&mut self) {
        let revision = self.released.revision();
        if revision == self.revision {
            return;
        }
        self.revision = revision;
        if let Some(scrubbers) = self.released.of_lent(&self.to) {
            match &mut self.scrubber {
                Some(scrubber) => scrubber.set_scrubber(scrubbers.texts),
                None if self.is_json => {
                    self.scrubber = Some(StreamScrubber::of_json(scrubbers.texts));
                }
                None => self.scrubber = Some(StreamScrubber::new(scrubbers.texts)),
            }
        }
    }

    fn pass(&mut self, data: Bytes) -> Bytes {
        self.refresh();
        let Some(scrubber) = &mut self.scrubber else {
            return data;
        };
        let passed = scrubber.push(data);
        self.report();
        passed
    }

    /// Tells what was taken out when it is: the body may be given up at any time.
    fn report(&mut self) {
        let Some(scrubber) = &self.scrubber else {
            return;
        };
        let count = scrubber.blocked().count();
        if count > self.reported {
            self.reported = count;
            scrubber
                .blocked()
                .for_each(|secret| self.reporter.echoed(secret));
        }
    }

    fn end(&mut self) -> Bytes {
        self.has_ended = true;
        let Some(scrubber) = &mut self.scrubber else {
            return Bytes::new();
        };
        let rest = scrubber.finish();
        self.report();
        rest
    }
}

impl Body for EchoBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = &mut *self;
        for _ in 0..MAX_EMPTY_CHUNKS {
            if this.has_ended {
                let trailers = this.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let data = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                None => this.end(),
                Some(Err(error)) => {
                    // What was held back may be the half of a credential.
                    this.has_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.pass(data),
                    Err(frame) => {
                        let mut trailers = frame.into_trailers().unwrap_or_default();
                        scrub_headers(&this.released, &this.to, &mut trailers, &this.reporter);
                        this.trailers = Some(trailers);
                        this.end()
                    }
                },
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let held = self.scrubber.as_ref().map_or(0, StreamScrubber::held_bytes);
        let inner_has_ended = self.has_ended || self.inner.is_end_stream();
        inner_has_ended && self.trailers.is_none() && held == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
