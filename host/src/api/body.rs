//! A request's body: read within its limits, then parsed.
//!
//! The bytes may hold a credential, so the buffer that they are collected in is cleared when it goes. Buffers inside
//! the HTTP and TLS libraries are not this project's and are not cleared.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::ApiError;
use super::{Api, json};
use crate::config::ServerConfig;

/// What a body may be, and how long it may take; the keys of `[server]` with these names.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest body, in bytes.
    pub max_bytes: usize,
    /// From the head of the request to the end of its body.
    pub timeout: Duration,
    /// What is read and dropped of a body that is too long, in bytes, so that its client reads the refusal.
    pub max_drained_bytes: usize,
    /// How long that may take.
    pub drain_timeout: Duration,
}

impl BodyLimits {
    /// Those of `[server]`.
    pub fn of(_: &ServerConfig) -> Self {
        Self {
            max_bytes: 1 << 20,
            timeout: Duration::from_secs(30),
            max_drained_bytes: 8 << 20,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let text = collect(&parts.headers, body, api.body_limits()).await?;
        // After the body: a client that still sends when it is refused would read a reset and not the refusal.
        if !is_json(&parts.headers) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be JSON; send the header Content-Type: application/json",
            ));
        }
        json::parse(&text).map(Self)
    }
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

/// The whole body, or why not.
pub(crate) async fn collect(
    headers: &HeaderMap,
    mut body: Body,
    limits: BodyLimits,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let reading = async {
        if declared.is_some_and(|bytes| bytes > limits.max_bytes) {
            return Err(too_long(limits));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(declared.unwrap_or(0)));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                ApiError::bad_request(
                    "incomplete_body",
                    "the body ended before it was whole; send it again",
                )
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if text.len() + data.len() > limits.max_bytes {
                return Err(too_long(limits));
            }
            append(&mut text, &data);
        }
        Ok(text)
    };
    let read = tokio::time::timeout(limits.timeout, reading).await;
    match read {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(refusal)) => {
            drain(body, limits).await;
            Err(refusal)
        }
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body came too slowly; send it faster",
        )),
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

/// Reads on for a while and drops what comes.
async fn drain(mut body: Body, limits: BodyLimits) {
    let draining = async {
        let mut left = limits.max_drained_bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len());
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Out of time is as good as done: the connection closes then.
    let _ = tokio::time::timeout(limits.drain_timeout, draining).await;
}

fn too_long(limits: BodyLimits) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!(
            "the body has more bytes than server.max_body_bytes ({}) allows; send less",
            limits.max_bytes
        ),
    )
}
