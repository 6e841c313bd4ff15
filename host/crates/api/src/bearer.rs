//! Reads a bearer token from its header. The caller decides what the token gives access to.

use axum::http::HeaderValue;

/// Returns the token of `Authorization: Bearer TOKEN`.
pub(crate) fn bearer_of(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}
