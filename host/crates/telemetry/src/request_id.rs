//! The id of a request. It is in the answer's `x-request-id`, in every log line about the request,
//! in its span and in its audit entries.
//!
//! `api` gives each request its id. The id says nothing about the caller.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header in which a client may send an id, and in which the answer returns it.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a client, in bytes.
pub const REQUEST_ID_MAX_BYTES: usize = 128;

/// One request: 1 to 128 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Returns the client's id if it sent a valid one, and a new id otherwise.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(REQUEST_ID_HEADER).iter();
        match (given.next().and_then(plain), given.next()) {
            (Some(id), None) => Self(id.to_owned()),
            _ => Self(uuid::Uuid::now_v7().to_string()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("its characters are those of a header")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Returns the value, if it is safe in a log line and an audit entry.
fn plain(value: &HeaderValue) -> Option<&str> {
    let id = value.to_str().ok()?;
    let fits = (1..=REQUEST_ID_MAX_BYTES).contains(&id.len());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (fits && id.bytes().all(is_plain)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let value = |bytes: &&[u8]| HeaderValue::from_bytes(bytes).expect("valid");
        let pairs = values.iter().map(|bytes| (REQUEST_ID_HEADER, value(bytes)));
        pairs.collect()
    }

    #[test]
    fn a_plain_id_is_taken_over() {
        let longest = "a".repeat(128);
        for id in ["1", "trace-7_of.Many", &longest] {
            assert_eq!(RequestId::of(&headers(&[id.as_bytes()])).as_str(), id);
        }
    }

    #[test]
    fn anything_else_is_replaced_by_a_new_id() {
        let too_long = "a".repeat(129);
        let cases: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[too_long.as_bytes()],
            &[b"two words"],
            &[b"key=value"],
            &[b"a\tb"],
            &["é".as_bytes()],
            &[b"one", b"two"],
        ];
        for case in cases {
            let id = RequestId::of(&headers(case));
            let uuid: uuid::Uuid = id.as_str().parse().expect("a UUID");
            assert_eq!(uuid.get_version_num(), 7, "{case:?}");
            assert_eq!(id.header_value(), id.as_str());
        }
    }
}
