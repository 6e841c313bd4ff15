//! Limits on the heads of requests: the length of the target, the number and length of headers.
//! Also refuses heads that two parsers could read as two different requests.
//!
//! A head of more than twice a limit is refused before all of it is in memory. For HTTP/1.1,
//! `framing` refuses it, and the answer is made here. For HTTP/2, hyper refuses it with the same
//! status and without a body.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::ApiError;
use crate::bearer::bearer_of;
use tavora_server::{Malformed, ServerLimits};

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
    if let Some(malformed) = request.extensions().get::<Malformed>() {
        let (status, code) = match malformed {
            Malformed::TooLong => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
            ),
            _ => (StatusCode::BAD_REQUEST, "invalid_head"),
        };
        return Some(ApiError::new(status, code, malformed.message()));
    }
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
    if bytes > allowed {
        return Some(too_large("bytes of headers", "max_header_bytes", allowed));
    }
    let ambiguity = ambiguity(request)?;
    Some(ApiError::bad_request("invalid_head", ambiguity))
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Returns why a proxy or another parser could read the head differently, if it could.
fn ambiguity(request: &Request) -> Option<&'static str> {
    let (headers, method) = (request.headers(), request.method().as_str());
    let is_twice = |name| headers.get_all(name).iter().nth(1).is_some();
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Some("a method is written in capitals, such as GET; write it so")
    } else if request.version() == Version::HTTP_11 && !headers.contains_key(HOST) {
        Some("a request of HTTP/1.1 has the header Host (RFC 9112); send it")
    } else if is_twice(HOST) {
        Some("the header Host is given more than once; give it once")
    } else if !host_fits(request.uri(), headers) {
        Some("the header Host is not the host of the target; send the same in both")
    } else if is_twice(AUTHORIZATION) {
        Some("the header Authorization is given more than once; give it once")
    } else if is_twice(X_API_KEY) {
        Some("the header X-API-Key is given more than once; give it once")
    } else if !credentials_fit(headers) {
        Some("X-API-Key and Authorization hold different credentials; send one of them")
    } else {
        None
    }
}

/// Whether `Host` matches the authority in the target, if the target has one (HTTP/2, or the
/// absolute form).
fn host_fits(target: &Uri, headers: &HeaderMap) -> bool {
    let (Some(authority), Some(host)) = (target.authority(), headers.get(HOST)) else {
        return true;
    };
    let default_port = match target.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let parts = |authority: &Authority| {
        let has_user = authority.as_str().contains('@');
        let port = authority.port_u16().unwrap_or(default_port);
        (!has_user).then(|| (authority.host().to_ascii_lowercase(), port))
    };
    let host = host.to_str().ok().and_then(|host| host.parse().ok());
    match (parts(authority), host.as_ref().and_then(parts)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Whether the head holds at most one credential. `Authorization` may hold something else than a
/// token of this host.
fn credentials_fit(headers: &HeaderMap) -> bool {
    let (Some(key), Some(authorization)) = (headers.get(X_API_KEY), headers.get(AUTHORIZATION))
    else {
        return true;
    };
    match bearer_of(authorization) {
        Some(token) => key.as_bytes() == token.as_bytes(),
        None => true,
    }
}
