//! Keeps secrets that are bound to origins from being sent to other origins. Each request is
//! examined alone, so a secret that is split over several requests is not found.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::{DenialReason, Origin, ReleasedSecrets};
use tavora_scrub::{Scrubber, SecretDetector};

/// Examines one request to one origin.
pub(super) struct SecretWatch {
    released: Arc<ReleasedSecrets>,
    origin: Origin,
    revision: u64,
    elsewhere: Option<Arc<Scrubber>>,
    /// The scanner of the body, once there is a secret to look for.
    detector: Option<SecretDetector>,
}

impl SecretWatch {
    pub(super) fn new(released: Arc<ReleasedSecrets>, origin: Origin) -> Self {
        let revision = released.revision();
        let elsewhere = released.bound_elsewhere(&origin).map(Arc::new);
        Self {
            detector: elsewhere.clone().map(SecretDetector::new),
            released,
            origin,
            revision,
            elsewhere,
        }
    }

    /// Checks the method, and the part of the URL after the origin.
    pub(super) fn check_target(&self, method: &Method, uri: &Uri) -> Result<(), DenialReason> {
        if self.elsewhere.is_none() {
            return Ok(());
        }
        self.check(method.as_str().as_bytes())?;
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        self.check(path.as_bytes())?;
        let decoded: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode_str(path).collect());
        self.check(&decoded)
    }

    /// Checks headers or trailers.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), DenialReason> {
        if self.elsewhere.is_none() {
            return Ok(());
        }
        headers.iter().try_for_each(|(name, value)| {
            self.check(name.as_str().as_bytes())?;
            self.check(value.as_bytes())
        })
    }

    /// Checks a piece of the body. Returns the bytes that can be sent now.
    pub(super) fn pass(&mut self, chunk: Bytes) -> Result<Bytes, DenialReason> {
        self.refresh();
        match &mut self.detector {
            None => Ok(chunk),
            Some(detector) => detector.push(chunk).map_err(|leak| elsewhere(leak.name)),
        }
    }

    /// Checks the end of the body. Returns the bytes that were held back.
    pub(super) fn finish(&mut self) -> Result<Bytes, DenialReason> {
        self.refresh();
        match &mut self.detector {
            None => Ok(Bytes::new()),
            Some(detector) => detector.finish().map_err(|leak| elsewhere(leak.name)),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.detector.as_ref().map_or(0, SecretDetector::held_bytes)
    }

    /// Updates the secrets: one can be released after the request has begun.
    fn refresh(&mut self) {
        let revision = self.released.revision();
        if revision == self.revision {
            return;
        }
        self.revision = revision;
        self.elsewhere = self.released.bound_elsewhere(&self.origin).map(Arc::new);
        if let Some(scrubber) = self.elsewhere.clone() {
            match &mut self.detector {
                Some(detector) => detector.set_scrubber(scrubber),
                None => self.detector = Some(SecretDetector::new(scrubber)),
            }
        }
    }

    fn check(&self, bytes: &[u8]) -> Result<(), DenialReason> {
        match self
            .elsewhere
            .as_ref()
            .and_then(|scrubber| scrubber.contains(bytes))
        {
            Some(name) => Err(elsewhere(name.to_owned())),
            None => Ok(()),
        }
    }
}

fn elsewhere(name: String) -> DenialReason {
    DenialReason::SecretBoundElsewhere {
        name,
        is_its_own: false,
    }
}
