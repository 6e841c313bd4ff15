//! Reads a request's body within its limits, then parses it.
//!
//! The body may hold a credential, so the buffer is cleared when it is dropped. Buffers inside the
//! HTTP and TLS libraries are outside this project and are not cleared.

mod budget;
mod streamed;

use std::error::Error as _;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::ApiError;
use super::{Api, auth, json};
pub(crate) use budget::BodyBudgets;
pub use streamed::StreamedBody;
use tavora_server::peer::Peer;
use tavora_server::{BodyError, ByteShare, NoRoom, ServerLimits, StrangersShare};

/// Extractor for a JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let limit = LengthLimit::of_any(api.limits());
        let text = collect(&parts, body, limit, api).await?;
        json::parse(&text).map(Self)
    }
}

/// The longest body, and the setting that says so.
#[derive(Clone, Copy)]
pub struct LengthLimit {
    /// The setting, with its section.
    pub key: &'static str,
    pub bytes: usize,
}

impl LengthLimit {
    /// The limit of every body that has none of its own.
    pub fn of_any(limits: &ServerLimits) -> Self {
        Self {
            key: "server.limits.max_body_bytes",
            bytes: limits.max_body_bytes,
        }
    }
}

/// Refuses a body whose content type is not JSON.
pub fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if is_json(headers) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be JSON; send the header Content-Type: application/json",
    ))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(CONTENT_TYPE).map(|it| it.to_str()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    kind.eq_ignore_ascii_case("application")
        && (subtype.eq_ignore_ascii_case("json") || subtype.to_ascii_lowercase().ends_with("+json"))
}

/// Refuses a compressed body: nothing here decompresses, and the decompressed size has no bound.
fn refuse_compressed(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_plain = |value: &HeaderValue| {
        let codings = value.to_str().unwrap_or("unreadable").split(',');
        codings
            .map(str::trim)
            .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let error = ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_content_encoding",
        "the header Content-Encoding says that the body is compressed, which this host does not take; send it as it is, without that header",
    );
    let identity = HeaderValue::from_static("identity");
    Err(error.header(ACCEPT_ENCODING, identity))
}

/// Reads the whole body. The server discards the rest of a refused body.
///
/// The bytes count against the budget of all bodies. A stranger's head counts too, because it is
/// kept for as long as the body. A stranger's body that is still on its way gives way to others.
pub async fn collect(
    parts: &Parts,
    mut body: Body,
    limit: LengthLimit,
    api: &Api,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    refuse_compressed(&parts.headers)?;
    let declared = check_declared(&parts.headers, limit)?;
    let mut share = Share::take(parts, api)?;
    let mut text = Zeroizing::new(Vec::new());
    share.enlarge(&mut text, declared.min(FIRST_BYTES))?;
    let most = if declared > 0 { declared } else { limit.bytes };
    loop {
        // Bytes that have arrived are read before the body is given up for others.
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            no_room = share.given_up() => return Err(no_room),
        };
        let Some(frame) = frame else {
            break;
        };
        let frame = frame.map_err(|error| incomplete(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = text.len() + data.len();
        if length > limit.bytes {
            return Err(too_long(limit));
        }
        if length > text.capacity() {
            share.enlarge(&mut text, (2 * length).min(most.max(length)))?;
        }
        text.extend_from_slice(&data);
    }
    Ok(text)
}

/// The most bytes that are allocated before a body arrives, whatever length it declares.
const FIRST_BYTES: usize = 16 << 10;

/// One body's share of the budget that it counts against.
struct Share<'a> {
    part: Part,
    api: &'a Api,
}

enum Part {
    Admitted(ByteShare),
    Stranger(StrangersShare),
}

impl<'a> Share<'a> {
    fn take(parts: &Parts, api: &'a Api) -> Result<Self, ApiError> {
        let budgets = api.bodies();
        let part = if auth::is_admitted(parts) {
            let share = budgets.admitted.take(0);
            Part::Admitted(share.map_err(|_| busy(api, Budget::Admitted))?)
        } else {
            let peer = Peer::from(auth::client(parts));
            let share = budgets.strangers.take(peer, head_bytes(parts));
            Part::Stranger(share.map_err(|why| busy(api, Budget::Strangers(why)))?)
        };
        Ok(Self { part, api })
    }

    /// Enlarges the buffer. The old buffer is cleared, so that no copy stays behind.
    fn enlarge(&mut self, text: &mut Zeroizing<Vec<u8>>, capacity: usize) -> Result<(), ApiError> {
        self.grow(capacity.saturating_sub(text.capacity()))?;
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(text);
        *text = larger;
        Ok(())
    }

    fn grow(&mut self, more: usize) -> Result<(), ApiError> {
        let grown = match &mut self.part {
            Part::Admitted(share) => share.grow(more).map_err(|_| Budget::Admitted),
            Part::Stranger(share) => share.grow(more).map_err(Budget::Strangers),
        };
        grown.map_err(|budget| busy(self.api, budget))
    }

    /// Waits until the body is given up for others. The body of a known client never is.
    async fn given_up(&mut self) -> ApiError {
        match &mut self.part {
            Part::Admitted(_) => std::future::pending().await,
            Part::Stranger(share) => busy(self.api, Budget::Strangers(share.given_up().await)),
        }
    }
}

/// The budget that has no room.
enum Budget {
    Admitted,
    Strangers(NoRoom),
}

fn busy(api: &Api, budget: Budget) -> ApiError {
    let limits = api.limits();
    let (key, bytes) = match budget {
        Budget::Admitted => (
            "server.limits.max_collected_bytes",
            limits.max_collected_bytes,
        ),
        Budget::Strangers(NoRoom::InAll) => (
            "server.limits.max_stranger_body_bytes",
            limits.max_stranger_body_bytes,
        ),
        Budget::Strangers(NoRoom::OfPeer) => (
            "server.limits.max_stranger_body_bytes_per_peer",
            limits.max_stranger_body_bytes_per_peer,
        ),
    };
    api.platform().metrics().limit_hit(key);
    let message = format!(
        "the host is collecting as many bodies as {key} ({bytes}) allows; try again in a second"
    );
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(1)
}

fn head_bytes(parts: &Parts) -> usize {
    let headers = parts.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let target = parts.uri.path_and_query().map_or(0, |it| it.as_str().len());
    headers + target
}

/// Returns the declared length of the body, if it is within the limit.
pub(crate) fn check_declared(headers: &HeaderMap, limit: LengthLimit) -> Result<usize, ApiError> {
    let declared = declared_bytes(headers);
    match declared > limit.bytes {
        true => Err(too_long(limit)),
        false => Ok(declared),
    }
}

/// Returns the declared length of the body, or 0 without one.
fn declared_bytes(headers: &HeaderMap) -> usize {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

fn incomplete(error: &axum::Error) -> ApiError {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(slow @ BodyError::TooSlow { .. }) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            slow.to_string(),
        ),
        Some(BodyError::Broken(_)) | None => ApiError::bad_request(
            "incomplete_body",
            "the body ended before it was whole; send it again",
        ),
    }
}

fn too_long(LengthLimit { key, bytes }: LengthLimit) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body has more bytes than {key} ({bytes}) allows; send less"),
    )
}
