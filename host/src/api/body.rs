//! A request's body: read within its limits, then parsed.
//!
//! The bytes may hold a credential, so the buffer that they are collected in is cleared when it goes. Buffers inside
//! the HTTP and TLS libraries are not this project's and are not cleared.

mod streamed;

use std::error::Error as _;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::ApiError;
use super::{Api, json};
use crate::server::BodyError;
pub use streamed::StreamedBody;

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let text = collect(&parts.headers, body, api.limits().max_body_bytes).await?;
        json::parse(&text).map(Self)
    }
}

/// Refuses a body that is not declared to be JSON.
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

/// Refuses a body that is compressed: nothing here unpacks one, and what it would become has no bound.
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

/// The whole body, or why not. What is left of one that is refused is the server's to drop.
pub(crate) async fn collect(
    headers: &HeaderMap,
    mut body: Body,
    max_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    refuse_compressed(headers)?;
    let declared = declared_bytes(headers);
    if declared > max_bytes {
        return Err(too_long(max_bytes));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(declared));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| incomplete(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if text.len() + data.len() > max_bytes {
            return Err(too_long(max_bytes));
        }
        append(&mut text, &data);
    }
    Ok(text)
}

/// How long the body says it is; 0 when it does not.
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

/// Appends without leaving a copy behind where the text lay before.
fn append(text: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    if text.capacity() - text.len() < data.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (text.len() + data.len())));
        larger.extend_from_slice(text);
        *text = larger;
    }
    text.extend_from_slice(data);
}

fn too_long(max_bytes: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!(
            "the body has more bytes than server.limits.max_body_bytes ({max_bytes}) allows; send less",
        ),
    )
}
