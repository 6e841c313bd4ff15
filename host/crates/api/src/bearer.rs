//! Reads a bearer token from its header. What the token gives access to is decided elsewhere.

use axum::http::HeaderValue;

/// Returns the token of `Authorization: Bearer TOKEN`.
pub(crate) fn bearer_of(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}
