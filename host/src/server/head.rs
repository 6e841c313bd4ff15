//! The heads of requests: how long a target may be, and how many and how long headers.
//!
//! Below the router, the library refuses what is more than twice as much before it is all in memory, with the same
//! statuses and without a body.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::settings::ServerLimits;
use crate::api::ApiError;

/// A middleware that lets a request pass if its head is within the limits.
pub async fn check_head(
    State(limits): State<ServerLimits>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&request, &limits) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(request: &Request, limits: &ServerLimits) -> Option<ApiError> {
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > limits.max_uri_bytes) {
        return Some(ApiError::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            format!(
                "the path and query have more bytes than server.limits.max_uri_bytes ({}) allows; shorten them",
                limits.max_uri_bytes
            ),
        ));
    }
    let too_large = |what, limit, allowed| {
        ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            format!(
                "the request has more {what} than server.limits.{limit} ({allowed}) allows; send fewer"
            ),
        )
    };
    let headers = request.headers();
    if headers.len() > limits.max_headers {
        return Some(too_large("headers", "max_headers", limits.max_headers));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let allowed = limits.max_header_bytes as usize;
    (bytes > allowed).then(|| too_large("bytes of headers", "max_header_bytes", allowed))
}
