//! Handles the stand-ins in the slots of one request. They are found and removed before the request
//! is searched for other secrets, and the credentials are written at the last moment.
//!
//! A slot must hold exactly what the host expects. A request with more than the stand-in in a slot
//! is refused. Stand-ins in other places are found by `watch`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use wasmtime_wasi_http::Error as WasiError;
use zeroize::Zeroizing;

use super::denial::StandInPlace;
use super::failure::Failure;
use super::stand_in::{self, Known, Lent, STAND_IN_CHARS, StandIns};
use super::{DenialReason, Origin, copied};
use tavora_trust::slot::Slot;

/// The characters to encode in a query: all but the unreserved ones (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const BEARER: &[u8] = b"Bearer ";
const BASIC: &[u8] = b"Basic ";

/// The slots of one request that wait for their credentials.
#[derive(Default)]
pub(super) struct Filling {
    headers: Vec<(HeaderName, Zeroizing<Vec<u8>>)>,
    /// The credentials for the query, each with its position, in ascending order.
    query: Vec<(usize, Zeroizing<Vec<u8>>)>,
    /// The oddity of the first credential that has one.
    oddity: Option<&'static str>,
    /// The names of the secrets that go into the request.
    names: Vec<String>,
}

impl Filling {
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Removes the stand-ins from the slots of a request to `origin`, so that the rest can be
    /// searched for others.
    ///
    /// # Errors
    /// Fails if a slot does not hold exactly what it may, or if the credential may not go to the
    /// origin.
    pub(super) fn take(
        stand_ins: &StandIns,
        origin: &Origin,
        headers: &mut HeaderMap,
        target: &mut Option<PathAndQuery>,
    ) -> Result<Self, Failure> {
        let mut filling = Self::default();
        if !stand_ins.can_lend() {
            return Ok(filling);
        }
        let slots = stand_ins.slots();
        let names: Vec<HeaderName> = headers.keys().cloned().collect();
        for name in names {
            let is_slot = slots.iter().any(|slot| header_of(slot) == Some(&name));
            if !is_slot {
                continue;
            }
            let values: Vec<&HeaderValue> = headers.get_all(&name).iter().collect();
            let Some((lent, text)) = in_header(stand_ins, origin, &slots, &name, &values)? else {
                continue;
            };
            filling.note(&lent);
            headers.insert(name.clone(), HeaderValue::from_static(""));
            filling.headers.push((name, text));
        }
        if let Some(path) = target {
            filling.take_query(stand_ins, origin, &slots, path)?;
        }
        Ok(filling)
    }

    fn take_query(
        &mut self,
        stand_ins: &StandIns,
        origin: &Origin,
        slots: &[Slot],
        target: &mut PathAndQuery,
    ) -> Result<(), Failure> {
        let is_slot = |key: &str| {
            let mut slots = slots.iter();
            slots.any(|slot| matches!(slot, Slot::Query { name } if name == key))
        };
        let Some(query) = target
            .query()
            .filter(|query| query.contains(stand_in::PREFIX))
        else {
            return Ok(());
        };
        let mut rest = format!("{}?", target.path());
        let mut filled: Vec<String> = Vec::new();
        for (at, pair) in query.split('&').enumerate() {
            if at > 0 {
                rest.push('&');
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let count = stand_in::count_in(value.as_bytes());
            if !is_slot(key) || count == 0 {
                rest.push_str(pair);
                continue;
            }
            let lent = match stand_in::has_form(value.as_bytes()) {
                true => lent(stand_ins, origin, value)?,
                false => return Err(not_alone(stand_ins, value.as_bytes(), count)),
            };
            let fits = |slot: &Slot| matches!(slot, Slot::Query { name } if name == key);
            if !lent.slots.iter().any(fits) {
                let place = StandInPlace::Parameter(key.to_owned());
                return Err(misplaced(&lent, place));
            }
            let name = lent.name.clone();
            if filled.iter().any(|it| it == key) {
                return Err(DenialReason::StandInTwice { name }.into());
            }
            filled.push(key.to_owned());
            self.note(&lent);
            rest.push_str(key);
            rest.push('=');
            let text = visible(&lent, copied::bare(&lent.value))?;
            let text = percent_encode(text.as_bytes(), UNRESERVED);
            let mut encoded = Zeroizing::new(Vec::with_capacity(lent.value.len() * 3));
            text.for_each(|piece| encoded.extend_from_slice(piece.as_bytes()));
            self.query.push((rest.len(), encoded));
        }
        let keys = || query.split('&').map(|pair| pair.split('=').next());
        if let Some(key) = filled
            .iter()
            .find(|key| keys().filter(|it| *it == Some(key.as_str())).count() > 1)
        {
            let name = slot_owner(stand_ins, query, key);
            return Err(DenialReason::StandInNotAlone { name }.into());
        }
        if !filled.is_empty() {
            *target = PathAndQuery::try_from(rest).map_err(|_| WasiError::HttpRequestUriInvalid)?;
        }
        Ok(())
    }

    fn note(&mut self, lent: &Lent) {
        self.names.push(lent.name.clone());
        self.oddity = self.oddity.or(copied::oddity(&lent.value));
    }

    /// Returns what is odd about a credential of the request.
    pub(super) fn oddity(&self) -> Option<&'static str> {
        self.oddity
    }

    /// Writes the credentials into memory that is wiped after the request.
    pub(super) fn fill(
        &self,
        headers: &mut HeaderMap,
        target: &mut Option<PathAndQuery>,
    ) -> Result<(), WasiError> {
        for (name, text) in &self.headers {
            let text = Bytes::from_owner(text.clone());
            let mut value =
                HeaderValue::from_maybe_shared(text).map_err(|_| WasiError::HttpProtocolError)?;
            // Keep HTTP/2 from storing the value in the header table of its connection.
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        if !self.query.is_empty() {
            let bare = target.as_ref().map_or("", |target| target.as_str());
            let added: usize = self.query.iter().map(|(_, text)| text.len()).sum();
            let mut text = Zeroizing::new(Vec::with_capacity(bare.len() + added));
            let mut passed = 0;
            for (at, credential) in &self.query {
                text.extend_from_slice(&bare.as_bytes()[passed..*at]);
                text.extend_from_slice(credential);
                passed = *at;
            }
            text.extend_from_slice(&bare.as_bytes()[passed..]);
            let filled = PathAndQuery::from_maybe_shared(Bytes::from_owner(text));
            *target = Some(filled.map_err(|_| WasiError::HttpRequestUriInvalid)?);
        }
        Ok(())
    }
}

/// A credential and the text of its slot.
type Filled = (Arc<Lent>, Zeroizing<Vec<u8>>);

/// Returns the header that contains a slot.
fn header_of(slot: &Slot) -> Option<&HeaderName> {
    match slot {
        Slot::Bearer | Slot::Basic => Some(&AUTHORIZATION),
        Slot::Header { name, .. } => Some(name),
        Slot::Query { .. } => None,
    }
}

/// Returns the credential and the new text for a header that is a slot, or `None` if the header
/// holds no stand-in.
fn in_header(
    stand_ins: &StandIns,
    origin: &Origin,
    slots: &[Slot],
    name: &HeaderName,
    values: &[&HeaderValue],
) -> Result<Option<Filled>, Failure> {
    let has_basic = name == AUTHORIZATION && slots.contains(&Slot::Basic);
    let mut found = None;
    let mut count = 0;
    for value in values {
        let value = value.as_bytes();
        let pair = has_basic.then(|| basic_pair(value)).flatten();
        let here = pair.as_deref().map_or(value, Vec::as_slice);
        let here = stand_in::count_in(here);
        count += here;
        if here > 0 {
            found = Some((value, pair));
        }
    }
    let Some((value, pair)) = found else {
        return Ok(None);
    };
    let all = pair.as_deref().map_or(value, Vec::as_slice);
    if count > 1 || values.len() > 1 {
        return Err(not_alone(stand_ins, all, count));
    }
    match pair {
        Some(pair) => in_basic(stand_ins, origin, &pair).map(Some),
        None => after_prefix(stand_ins, origin, name, value).map(Some),
    }
}

/// Returns the credential and the text for a header whose value is a stand-in, or a prefix and a
/// stand-in.
fn after_prefix(
    stand_ins: &StandIns,
    origin: &Origin,
    header: &HeaderName,
    value: &[u8],
) -> Result<Filled, Failure> {
    let (prefix, tail) = value.split_at(value.len() - STAND_IN_CHARS);
    let tail = match std::str::from_utf8(tail) {
        Ok(tail) if stand_in::has_form(tail.as_bytes()) => tail,
        _ => return Err(not_alone(stand_ins, value, 1)),
    };
    let lent = lent(stand_ins, origin, tail)?;
    let is_here = |slot: &&Slot| header_of(slot) == Some(header);
    let fits = |slot: &&Slot| match slot {
        Slot::Bearer => header == AUTHORIZATION && prefix == BEARER,
        Slot::Header { name, prefix: None } => name == header && prefix.is_empty(),
        Slot::Header {
            name,
            prefix: Some(fixed),
        } => name == header && fixed.as_bytes() == prefix,
        Slot::Basic | Slot::Query { .. } => false,
    };
    match lent.slots.iter().find(fits) {
        Some(_) => {}
        None if lent.slots.iter().any(|slot| is_here(&slot)) => {
            let name = lent.name.clone();
            return Err(DenialReason::StandInNotAlone { name }.into());
        }
        None => return Err(misplaced(&lent, StandInPlace::Header(header.clone()))),
    }
    let bare = match prefix.is_empty() {
        true => copied::without_blanks(&lent.value),
        false => copied::bare(&lent.value),
    };
    let bare = visible(&lent, bare)?;
    if !prefix.is_empty() && !bare.is_ascii() {
        return Err(unfit(
            &lent,
            "holds a character that is not ASCII, such as an invisible one or a typographic dash",
        ));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + bare.len()));
    text.extend_from_slice(prefix);
    text.extend_from_slice(bare.as_bytes());
    Ok((lent, text))
}

/// Returns the decoded user and password of `Basic` credentials (RFC 7617).
fn basic_pair(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = value.split_at_checked(BASIC.len())?;
    let is_basic = scheme.eq_ignore_ascii_case(BASIC);
    let decoded = STANDARD.decode(rest).ok().filter(|_| is_basic)?;
    Some(Zeroizing::new(decoded))
}

/// Returns the credential and the text for the header `Authorization: Basic`, where the stand-in is
/// the user or the password.
fn in_basic(stand_ins: &StandIns, origin: &Origin, pair: &[u8]) -> Result<Filled, Failure> {
    let alone = || not_alone(stand_ins, pair, 1);
    let colon = pair
        .iter()
        .position(|&byte| byte == b':')
        .ok_or_else(alone)?;
    let (user, password) = (&pair[..colon], &pair[colon + 1..]);
    let is_user = stand_in::has_form(user);
    let place = if is_user { user } else { password };
    if !stand_in::has_form(place) {
        return Err(alone());
    }
    let text = std::str::from_utf8(place).map_err(|_| alone())?;
    let lent = lent(stand_ins, origin, text)?;
    if !lent.slots.contains(&Slot::Basic) {
        return Err(misplaced(&lent, StandInPlace::Header(AUTHORIZATION)));
    }
    let value = visible(&lent, copied::without_blanks(&lent.value))?;
    if is_user && value.contains(':') {
        return Err(unfit(
            &lent,
            "holds a colon, which no user name of Basic credentials can have",
        ));
    }
    let mut filled = Zeroizing::new(Vec::with_capacity(pair.len() + value.len()));
    let parts = match is_user {
        true => [value.as_bytes(), b":", password],
        false => [user, b":", value.as_bytes()],
    };
    parts.iter().for_each(|part| filled.extend_from_slice(part));
    let length = filled.len().div_ceil(3) * 4;
    let mut text = Zeroizing::new(vec![0; BASIC.len() + length]);
    text[..BASIC.len()].copy_from_slice(BASIC);
    STANDARD
        .encode_slice(&*filled, &mut text[BASIC.len()..])
        .map_err(|_| WasiError::HttpProtocolError)?;
    Ok((lent, text))
}

/// Returns the secret behind a stand-in, if the secret may go to this origin.
fn lent(stand_ins: &StandIns, origin: &Origin, text: &str) -> Result<Arc<Lent>, Failure> {
    match stand_ins.known(text) {
        Known::Current(lent) if lent.may_go_to(origin) => Ok(lent),
        Known::Current(lent) => Err(DenialReason::SecretBoundElsewhere {
            name: lent.name.clone(),
            is_its_own: false,
        }
        .into()),
        Known::Past(name) => Err(DenialReason::StandInExpired { name }.into()),
        Known::Unknown => Err(DenialReason::StandInUnknown.into()),
    }
}

/// Returns the refusal of a slot that holds more than one stand-in alone.
fn not_alone(stand_ins: &StandIns, text: &[u8], count: usize) -> Failure {
    let mut windows = text.windows(STAND_IN_CHARS);
    let first = windows.find(|text| stand_in::has_form(text));
    let first = first.and_then(|text| std::str::from_utf8(text).ok());
    let name = match first.map(|text| stand_ins.known(text)) {
        Some(Known::Current(lent)) => lent.name.clone(),
        Some(Known::Past(name)) => name,
        Some(Known::Unknown) | None => return DenialReason::StandInUnknown.into(),
    };
    match count > 1 {
        true => DenialReason::StandInTwice { name }.into(),
        false => DenialReason::StandInNotAlone { name }.into(),
    }
}

/// Returns the name of the secret whose stand-in is the value of this parameter.
fn slot_owner(stand_ins: &StandIns, query: &str, key: &str) -> String {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(it, value)| *it == key && stand_in::has_form(value.as_bytes()));
    match value.map(|(_, value)| stand_ins.known(value)) {
        Some(Known::Current(lent)) => lent.name.clone(),
        _ => String::new(),
    }
}

fn misplaced(lent: &Lent, place: StandInPlace) -> Failure {
    let name = lent.name.clone();
    DenialReason::StandInMisplaced { name, place }.into()
}

fn unfit(lent: &Lent, what: &'static str) -> Failure {
    let name = lent.name.clone();
    DenialReason::SecretUnfit { name, what }.into()
}

/// Returns the value, if it is not empty and has no control character that would end a line.
fn visible<'v>(lent: &Lent, value: &'v str) -> Result<&'v str, Failure> {
    let is_lost = |char: char| char != '\t' && char.is_ascii_control();
    if value.is_empty() {
        return Err(unfit(lent, "holds nothing that can be seen"));
    }
    if value.contains(is_lost) {
        return Err(unfit(
            lent,
            "holds a line break or another control character",
        ));
    }
    Ok(value)
}
