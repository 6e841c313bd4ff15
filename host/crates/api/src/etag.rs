//! `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1), mapped to the vault's revisions and
//! conditions.
//!
//! Tags are strong: a revision never comes back. A proxy that compresses an answer makes its tag
//! weak, or adds the name of the coding. The client's tag then still names the revision, and is
//! accepted.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use vault_core::{Condition, Revision};

use super::error::ApiError;

/// Returns the `ETag` header for a revision.
pub fn etag(revision: Revision) -> [(HeaderName, HeaderValue); 1] {
    let tag = HeaderValue::try_from(format!("\"{revision}\""));
    [(ETAG, tag.expect("a revision is hexadecimal digits"))]
}

/// The request's `If-Match`. Without the header it is [`Condition::Always`].
pub struct IfMatch(pub Condition);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let malformed = || {
            ApiError::bad_request(
                "invalid_if_match",
                "the header If-Match must be * or a list of quoted entity tags; send back the ETag as it came",
            )
        };
        let mut tags = Vec::new();
        for value in parts.headers.get_all(IF_MATCH) {
            let value = value.to_str().map_err(|_| malformed())?;
            if value.trim() == "*" {
                return Ok(Self(Condition::Exists));
            }
            let mut rest = value.trim();
            loop {
                let (revision, after) = first_tag(rest).ok_or_else(malformed)?;
                tags.push(revision);
                match after.trim_start().strip_prefix(',') {
                    Some(next) => rest = next.trim_start(),
                    None if after.is_empty() => break,
                    None => return Err(malformed()),
                }
            }
        }
        match tags.is_empty() {
            true => Ok(Self(Condition::Always)),
            // A tag that this host never made matches no revision. A list of only such tags matches
            // nothing.
            false => Ok(Self(Condition::AnyOf(tags.into_iter().flatten().collect()))),
        }
    }
}

/// The codings that proxies name in a tag: `"…-gzip"` by Apache and Caddy, `"…--gzip"` by Jetty,
/// `"…;gzip"` by others.
const CODINGS: [&str; 5] = ["gzip", "br", "zstd", "deflate", "compress"];

/// Parses the tag at the beginning of the text, which may contain commas. Returns its revision, or
/// nothing if this host did not make the tag, and the rest of the text.
fn first_tag(text: &str) -> Option<(Option<Revision>, &str)> {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
    if !opaque.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    Some((opaque.parse().ok().or_else(|| uncoded(opaque)), after))
}

/// Returns the revision in front of a coding's name.
fn uncoded(opaque: &str) -> Option<Revision> {
    let coded = CODINGS.iter().find_map(|it| opaque.strip_suffix(it))?;
    let revision = coded.trim_end_matches(['-', ';', ':', '+']);
    (revision != coded).then(|| revision.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn condition(values: &[&str]) -> Result<Condition, &'static str> {
        let mut request = Request::new(());
        for value in values {
            let value = HeaderValue::from_str(value).expect("valid");
            request.headers_mut().append(IF_MATCH, value);
        }
        let (mut parts, ()) = request.into_parts();
        match IfMatch::from_request_parts(&mut parts, &()).await {
            Ok(IfMatch(condition)) => Ok(condition),
            Err(error) => Err(error.code()),
        }
    }

    #[tokio::test]
    async fn a_header_becomes_a_condition() {
        let known = "00112233445566778899aabbccddeeff";
        let revision: Revision = known.parse().expect("valid");
        let tag = format!("\"{known}\"");
        let weak = format!("W/{tag}");
        let apache = format!("\"{known}-gzip\"");
        let jetty = format!("W/\"{known}--br\"");
        let list = format!("\"other\", {tag}");
        for (values, expected) in [
            (vec![], Condition::Always),
            (vec!["*"], Condition::Exists),
            (vec![&*tag], Condition::AnyOf(vec![revision])),
            (vec![&*list], Condition::AnyOf(vec![revision])),
            (vec!["\"other\"", &*tag], Condition::AnyOf(vec![revision])),
            (vec![&*weak], Condition::AnyOf(vec![revision])),
            (
                vec!["\"other\", W/\"x\"", &*weak],
                Condition::AnyOf(vec![revision]),
            ),
            (vec![&*apache], Condition::AnyOf(vec![revision])),
            (vec![&*jetty], Condition::AnyOf(vec![revision])),
            (vec!["W/\"other\""], Condition::AnyOf(vec![])),
            (vec!["\"gzip\"", "\"-gzip\""], Condition::AnyOf(vec![])),
            (vec!["\"other\""], Condition::AnyOf(vec![])),
            (vec!["\"a,b\" ,\t\"c\""], Condition::AnyOf(vec![])),
        ] {
            assert_eq!(condition(&values).await, Ok(expected), "{values:?}");
        }
        for malformed in [known, "\"", "", "\"a\" \"b\"", "W/", "\"a\",,"] {
            assert_eq!(
                condition(&[malformed]).await,
                Err("invalid_if_match"),
                "{malformed}"
            );
        }
    }
}
