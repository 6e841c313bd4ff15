//! Headers that belong to one connection, and so to the host, in both directions. Their meaning to
//! an upstream does not matter here.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, EXPECT, HOST, TE, TRAILER,
};
use http::header::{TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use wasmtime_wasi_http::Error as WasiError;

use super::DenialReason;

/// The `User-Agent` for requests without one. Some firewalls refuse requests without it.
const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(tavora_trust::USER_AGENT);

/// The header that tells a tool what is odd about a credential that was refused.
const ODDITY: HeaderName = HeaderName::from_static("tavora-credential-oddity");

/// Tells the tool what is odd about the credential of a refused request. The words contain no part
/// of the credential. The same header from an upstream is removed first, so that no upstream can
/// speak for the host.
pub(super) fn tell_oddity(
    headers: &mut HeaderMap,
    status: StatusCode,
    oddity: Option<&'static str>,
) {
    headers.remove(ODDITY);
    if let Some(oddity) = oddity.filter(|_| status.is_client_error()) {
        headers.insert(ODDITY, HeaderValue::from_static(oddity));
    }
}

/// Whether a tool can neither send nor receive this header: it names the host,
/// frames the message, or speaks to the next hop (RFC 9110 section 7.6.1).
pub fn is_forbidden(name: &HeaderName) -> bool {
    let text = name.as_str();
    [
        HOST,
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        TE,
        TRAILER,
        EXPECT,
    ]
    .contains(name)
        || matches!(text, "keep-alive" | "http2-settings")
        || text.starts_with("proxy-")
}

/// Whether a body is JSON, or consists of events, which usually contain JSON.
pub fn carries_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let essence = content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"text/event-stream" || essence == b"application/json" || essence.ends_with(b"+json")
}

/// Refuses headers or trailers of a tool if one of them is forbidden. The header is not just
/// removed: no tool can set it through its interface, so someone tries to get around the interface.
pub(super) fn refuse_forbidden(headers: &HeaderMap) -> Result<(), DenialReason> {
    match headers.keys().find(|name| is_forbidden(name)) {
        None => Ok(()),
        Some(name) => Err(DenialReason::HeaderRefused {
            header: name.as_str().to_owned(),
        }),
    }
}

/// Turns a tool's headers into those of the outgoing request.
pub(super) fn prepare_request(headers: &mut HeaderMap) -> Result<(), DenialReason> {
    refuse_forbidden(headers)?;
    // A compressed answer could hide a credential from the scrubber.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.entry(USER_AGENT).or_insert(OWN_USER_AGENT);
    Ok(())
}

/// Removes the headers of a response that were meant for this connection only.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    let forbidden: Vec<HeaderName> = headers
        .keys()
        .filter(|n| is_forbidden(n))
        .cloned()
        .collect();
    for name in forbidden {
        headers.remove(name);
    }
}

/// Adds a date to a response without one, as RFC 9110 (section 6.6.1) requires of a recipient. The
/// date makes times in other headers comparable.
pub(super) fn date(headers: &mut HeaderMap) {
    headers.entry(DATE).or_insert_with(|| {
        HeaderValue::try_from(httpdate::fmt_http_date(std::time::SystemTime::now()))
            .expect("a date is text")
    });
}

/// Returns the declared length of a message, and refuses two different lengths.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, WasiError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.as_bytes();
    if values.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(WasiError::HttpProtocolError);
    }
    let length = value.to_str().ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(WasiError::HttpProtocolError)
}

/// Returns the total bytes of all names and values.
pub(super) fn section_bytes(headers: &HeaderMap) -> u64 {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, value.parse::<HeaderValue>().expect("a value"))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn headers_of_the_connection_are_refused_in_requests() {
        for name in [
            "Host",
            "Connection",
            "Keep-Alive",
            "Transfer-Encoding",
            "Upgrade",
            "TE",
            "Trailer",
            "Expect",
            "HTTP2-Settings",
            "Proxy-Authorization",
            "Proxy-Connection",
            "Proxy-Anything",
        ] {
            let mut headers = headers(&[("authorization", "Bearer x"), (name, "x")]);
            assert_eq!(
                prepare_request(&mut headers),
                Err(DenialReason::HeaderRefused {
                    header: name.to_lowercase()
                })
            );
        }
        let mut headers = headers(&[("authorization", "Bearer x"), ("accept-encoding", "gzip")]);
        prepare_request(&mut headers).expect("allowed");
        assert_eq!(headers["accept-encoding"], "identity");
        assert_eq!(headers["authorization"], "Bearer x");
    }

    #[test]
    fn every_request_says_who_asks() {
        let mut silent = headers(&[("accept", "*/*")]);
        prepare_request(&mut silent).expect("allowed");
        let expected = format!("tavora-host/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(silent["user-agent"], expected);
        let mut own = headers(&[("user-agent", "mine/1")]);
        prepare_request(&mut own).expect("allowed");
        assert_eq!(own["user-agent"], "mine/1");
    }

    #[test]
    fn headers_of_the_connection_are_taken_out_of_responses() {
        let mut headers = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    }

    #[test]
    fn only_one_plain_length_counts() {
        let length = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|v| ("content-length", *v)).collect();
            content_length(&headers(&pairs)).map_err(|_| ())
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["12"]), Ok(Some(12)));
        for bad in [
            &["1", "1"][..],
            &["+1"],
            &["-1"],
            &["1, 1"],
            &["0x1"],
            &[""],
            &["99999999999999999999"],
        ] {
            assert_eq!(length(bad), Err(()), "{bad:?}");
        }
    }
}
