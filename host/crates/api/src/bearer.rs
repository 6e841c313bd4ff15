//! How a bearer token stands in its header. Who reads it decides what it opens.

use axum::http::HeaderValue;

/// The token of `Authorization: Bearer TOKEN`.
pub(crate) fn bearer_of(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}
