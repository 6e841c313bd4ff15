//! Takes lent credentials out of upstreams' answers. An upstream that repeats a request would
//! otherwise show a tool a credential that the tool may use and not see.
//!
//! The spellings are those that the scrubber knows. An upstream that hides a credential on purpose
//! has it already, and is trusted by whoever bound the secret to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::denial::Reporter;
use super::sieve::{Sieve, Sieved};
use super::{Origin, ReleasedSecrets, header};
use tavora_scrub::StreamScrubber;

/// Takes the credentials out of the head of a response, or out of trailers.
pub(super) fn scrub_headers(
    released: &ReleasedSecrets,
    origin: &Origin,
    headers: &mut HeaderMap,
    reporter: &Reporter,
) {
    let Some(scrubbers) = released.of_lent(origin) else {
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

/// The body of a response without the credentials.
pub(super) fn scrubbed(
    released: Arc<ReleasedSecrets>,
    origin: Origin,
    can_lend: bool,
    method: &Method,
    headers: &mut HeaderMap,
    body: WasiBody,
    reporter: Reporter,
) -> WasiBody {
    if (can_lend || released.of_lent(&origin).is_some()) && *method != Method::HEAD {
        // A marker does not have the length of what it replaces.
        headers.remove(CONTENT_LENGTH);
    }
    let echo = Echo {
        scrubber: None,
        revision: 0,
        reported: 0,
        is_json: header::carries_json(headers),
        released,
        origin,
        reporter,
    };
    Sieved::new(body, echo).boxed_unsync()
}

/// The sieve of a body that comes in.
struct Echo {
    /// Once there was something to look for.
    scrubber: Option<StreamScrubber>,
    /// The revision of the secrets that the scrubber knows.
    revision: u64,
    /// The number of secrets that were taken out and reported.
    reported: usize,
    /// Whether the body is JSON, in which a short value is taken out of texts alone.
    is_json: bool,
    released: Arc<ReleasedSecrets>,
    origin: Origin,
    reporter: Reporter,
}

impl Echo {
    /// Learns of secrets that were sent after the response began.
    fn refresh(&mut self) {
        let revision = self.released.revision();
        if revision == self.revision {
            return;
        }
        self.revision = revision;
        if let Some(scrubbers) = self.released.of_lent(&self.origin) {
            match &mut self.scrubber {
                Some(scrubber) => scrubber.set_scrubber(scrubbers.texts),
                None if self.is_json => {
                    self.scrubber = Some(StreamScrubber::of_json(scrubbers.texts));
                }
                None => self.scrubber = Some(StreamScrubber::new(scrubbers.texts)),
            }
        }
    }

    /// Reports each find at once: the reader may give the body up at any time.
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
}

impl Sieve for Echo {
    fn pass(&mut self, data: Bytes) -> Result<Bytes, WasiError> {
        self.refresh();
        let Some(scrubber) = &mut self.scrubber else {
            return Ok(data);
        };
        let passed = scrubber.push(data);
        self.report();
        Ok(passed)
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) -> Result<(), WasiError> {
        scrub_headers(&self.released, &self.origin, trailers, &self.reporter);
        Ok(())
    }

    fn finish(&mut self) -> Result<Bytes, WasiError> {
        let Some(scrubber) = &mut self.scrubber else {
            return Ok(Bytes::new());
        };
        let rest = scrubber.finish();
        self.report();
        Ok(rest)
    }

    fn broken(&mut self, error: WasiError) -> WasiError {
        error
    }

    fn held_bytes(&self) -> usize {
        self.scrubber.as_ref().map_or(0, StreamScrubber::held_bytes)
    }

    fn keeps_the_length(&self) -> bool {
        false
    }
}
