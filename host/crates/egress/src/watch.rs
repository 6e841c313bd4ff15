//! Keeps secrets that are bound to origins from being sent to other origins. Each request is
//! examined alone, so a secret that is split over several requests is not found.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::denial::StandInPlace;
use super::stand_in::StandIns;
use super::{DenialReason, Origin, ReleasedSecrets};
use tavora_scrub::{Scrubber, SecretDetector};

/// Examines one request to one origin.
pub(super) struct SecretWatch {
    released: Arc<ReleasedSecrets>,
    stand_ins: StandIns,
    origin: Origin,
    /// The revisions of the released secrets and of the stand-ins that the two fields below are
    /// made from.
    revisions: (u64, u64),
    elsewhere: Sought,
    misplaced: Sought,
}

/// Secrets or stand-ins that must not be in the request.
#[derive(Default)]
struct Sought {
    scrubber: Option<Arc<Scrubber>>,
    /// The scanner of the body. There is none as long as there is nothing to find.
    detector: Option<SecretDetector>,
}

impl SecretWatch {
    pub(super) fn new(released: Arc<ReleasedSecrets>, stand_ins: StandIns, origin: Origin) -> Self {
        let mut watch = Self {
            revisions: (released.revision(), stand_ins.revision()),
            released,
            stand_ins,
            origin,
            elsewhere: Sought::default(),
            misplaced: Sought::default(),
        };
        watch.look_anew();
        watch
    }

    /// Checks the method, and the part of the URL after the origin.
    pub(super) fn check_target(
        &self,
        method: &Method,
        target: Option<&PathAndQuery>,
    ) -> Result<(), DenialReason> {
        if self.is_idle() {
            return Ok(());
        }
        let place = || StandInPlace::Target;
        self.check(method.as_str().as_bytes(), place)?;
        let path = target.map_or("", PathAndQuery::as_str);
        self.check(path.as_bytes(), place)?;
        let decoded: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode_str(path).collect());
        self.check(&decoded, place)
    }

    /// Checks headers or trailers.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), DenialReason> {
        if self.is_idle() {
            return Ok(());
        }
        headers.iter().try_for_each(|(name, value)| {
            let place = || StandInPlace::HeaderName;
            self.check(name.as_str().as_bytes(), place)?;
            if let Some(name) = self.stand_ins.in_name(name.as_str()) {
                let place = place();
                return Err(DenialReason::StandInMisplaced { name, place });
            }
            self.check(value.as_bytes(), || StandInPlace::Header(name.clone()))
        })
    }

    /// Checks trailers.
    pub(super) fn check_trailers(&self, trailers: &HeaderMap) -> Result<(), DenialReason> {
        match self.check_headers(trailers) {
            Err(DenialReason::StandInMisplaced { name, .. }) => {
                let place = StandInPlace::Trailers;
                Err(DenialReason::StandInMisplaced { name, place })
            }
            checked => checked,
        }
    }

    /// Checks a piece of the body. Returns the bytes that can be sent now.
    pub(super) fn pass(&mut self, chunk: Bytes) -> Result<Bytes, DenialReason> {
        self.refresh();
        let chunk = self.elsewhere.pass(chunk).map_err(elsewhere)?;
        self.misplaced.pass(chunk).map_err(in_body)
    }

    /// Checks the end of the body. Returns the bytes that were held back.
    pub(super) fn finish(&mut self) -> Result<Bytes, DenialReason> {
        self.refresh();
        let last = self.elsewhere.finish().map_err(elsewhere)?;
        let passed = self.misplaced.pass(last).map_err(in_body)?;
        let rest = self.misplaced.finish().map_err(in_body)?;
        Ok(match (passed.is_empty(), rest.is_empty()) {
            (true, _) => rest,
            (_, true) => passed,
            _ => [passed, rest].concat().into(),
        })
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.elsewhere.held_bytes() + self.misplaced.held_bytes()
    }

    fn is_idle(&self) -> bool {
        self.elsewhere.scrubber.is_none() && self.misplaced.scrubber.is_none()
    }

    /// Looks up the secrets again if one was released or lent after the request had begun.
    fn refresh(&mut self) {
        let revisions = (self.released.revision(), self.stand_ins.revision());
        if revisions != self.revisions {
            self.revisions = revisions;
            self.look_anew();
        }
    }

    fn look_anew(&mut self) {
        let bound = self.released.bound_elsewhere(&self.origin);
        self.elsewhere.set(bound.map(Arc::new));
        self.misplaced.set(self.stand_ins.of_stand_ins());
    }

    fn check(
        &self,
        bytes: &[u8],
        place: impl FnOnce() -> StandInPlace,
    ) -> Result<(), DenialReason> {
        if let Some(name) = self.elsewhere.contains(bytes) {
            return Err(elsewhere(name.to_owned()));
        }
        match self.misplaced.contains(bytes) {
            Some(name) => Err(DenialReason::StandInMisplaced {
                name: name.to_owned(),
                place: place(),
            }),
            None => Ok(()),
        }
    }
}

impl Sought {
    fn set(&mut self, scrubber: Option<Arc<Scrubber>>) {
        if let Some(scrubber) = scrubber.clone() {
            match &mut self.detector {
                Some(detector) => detector.set_scrubber(scrubber),
                None => self.detector = Some(SecretDetector::new(scrubber)),
            }
        }
        self.scrubber = scrubber;
    }

    fn contains(&self, bytes: &[u8]) -> Option<&str> {
        self.scrubber.as_ref()?.contains(bytes)
    }

    fn pass(&mut self, chunk: Bytes) -> Result<Bytes, String> {
        match &mut self.detector {
            None => Ok(chunk),
            Some(detector) => detector.push(chunk).map_err(|leak| leak.name),
        }
    }

    fn finish(&mut self) -> Result<Bytes, String> {
        match &mut self.detector {
            None => Ok(Bytes::new()),
            Some(detector) => detector.finish().map_err(|leak| leak.name),
        }
    }

    fn held_bytes(&self) -> usize {
        self.detector.as_ref().map_or(0, SecretDetector::held_bytes)
    }
}

fn elsewhere(name: String) -> DenialReason {
    DenialReason::SecretBoundElsewhere {
        name,
        is_its_own: false,
    }
}

fn in_body(name: String) -> DenialReason {
    let place = StandInPlace::Body;
    DenialReason::StandInMisplaced { name, place }
}
