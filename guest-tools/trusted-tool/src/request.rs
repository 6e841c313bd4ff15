//! One HTTP request of a trusted tool and its answer, whole or piece by piece, with a bound on
//! every wait and on the size of the body.
//!
//! It follows no redirect and retries nothing. It asks for no compression, so that the host can
//! look for credentials in what comes back. The host's egress policy decides where the request may
//! go.

use crate::answer::{Answer, Incoming};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use crate::bindings::wasi::io::poll::{self, Pollable};
use crate::failure::Target;
pub use crate::failure::{Failure, Stage, too_long};
use crate::{ToolError, setting, tool_error};
use http::Uri;
use zeroize::Zeroizing;

/// The longest timeout that can be set: a day.
const MAX_TIMEOUT_MS: u64 = 86_400_000;

/// The address of a tool's upstream: scheme, host, port and the start of the path.
#[derive(Debug, PartialEq, Eq)]
pub struct BaseUrl {
    is_https: bool,
    authority: String,
    path: String,
}

impl BaseUrl {
    /// Parses an absolute `http` or `https` URL without user, query and fragment. A slash at its
    /// end makes no difference.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('#') {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() || uri.query().is_some()
        {
            return None;
        }
        Some(Self {
            is_https,
            authority: authority.to_string(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The origin, for messages: `https://api.example.com`.
    pub fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

/// The bounds of a request. The settings `connect_timeout_ms`, `first_byte_timeout_ms`,
/// `between_bytes_timeout_ms` and `max_response_bytes` override the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The time until a connection stands, TLS included. Default 5,000.
    pub connect_timeout_ms: u64,
    /// The time until the first byte of the answer. Default 15,000.
    pub first_byte_timeout_ms: u64,
    /// The time between two pieces of the body. Default 10,000.
    pub between_bytes_timeout_ms: u64,
    /// The longest body that is read. Default 2 MiB.
    pub max_response_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            first_byte_timeout_ms: 15_000,
            between_bytes_timeout_ms: 10_000,
            max_response_bytes: 2 * 1024 * 1024,
        }
    }
}

impl Bounds {
    /// The bounds of the tool's settings, with defaults for the others.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is no number or out of range.
    pub fn from_settings() -> Result<Self, ToolError> {
        Self::default().overridden()
    }

    /// These bounds, overridden by the tool's settings.
    ///
    /// # Errors
    /// `tool_failed` naming the setting that is no number or out of range.
    pub fn overridden(self) -> Result<Self, ToolError> {
        let Self {
            connect_timeout_ms,
            first_byte_timeout_ms,
            between_bytes_timeout_ms,
            max_response_bytes,
        } = self;
        let timeout_ms = |key, default| setting::number(key, default, 1..=MAX_TIMEOUT_MS);
        Ok(Self {
            connect_timeout_ms: timeout_ms("connect_timeout_ms", connect_timeout_ms)?,
            first_byte_timeout_ms: timeout_ms("first_byte_timeout_ms", first_byte_timeout_ms)?,
            between_bytes_timeout_ms: timeout_ms(
                "between_bytes_timeout_ms",
                between_bytes_timeout_ms,
            )?,
            max_response_bytes: setting::number(
                "max_response_bytes",
                max_response_bytes,
                1..=64 * 1024 * 1024,
            )?,
        })
    }
}

/// A header of a request. Its value is wiped once the host has it.
pub type Header<'a> = (&'a str, Zeroizing<Vec<u8>>);

/// The method of a request, and its body.
#[derive(Clone, Copy)]
pub enum Ask<'a> {
    /// `GET`
    Get,
    /// `POST` with this body.
    Post(&'a [u8]),
    /// `DELETE`
    Delete,
    /// Another method, or one of the methods above with a body that it seldom has.
    Other {
        /// The method, in capitals.
        method: &'a str,
        /// The body.
        body: Option<&'a [u8]>,
    },
}

impl<'a> Ask<'a> {
    fn body(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Get | Self::Delete => None,
            Self::Post(body) => Some(body),
            Self::Other { body, .. } => body,
        }
    }

    fn method(&self) -> Method {
        match *self {
            Self::Get => Method::Get,
            Self::Post(_) => Method::Post,
            Self::Delete => Method::Delete,
            Self::Other { method, .. } => match method {
                "GET" => Method::Get,
                "HEAD" => Method::Head,
                "POST" => Method::Post,
                "PUT" => Method::Put,
                "DELETE" => Method::Delete,
                "OPTIONS" => Method::Options,
                "PATCH" => Method::Patch,
                other => Method::Other(other.to_owned()),
            },
        }
    }
}

/// `GET <base><path_and_query>`, and the whole answer.
///
/// # Errors
/// `egress_denied`, `upstream_unreachable` or `upstream_error`. The sentence begins with
/// `upstream`, the name that the user knows.
pub fn get(
    upstream: &str,
    base: &BaseUrl,
    path_and_query: &str,
    headers: Vec<Header<'_>>,
    bounds: &Bounds,
) -> Result<Answer, ToolError> {
    open(upstream, base, path_and_query, Ask::Get, &headers, bounds)?
        .whole(bounds.max_response_bytes)
}

/// Sends a request, and returns the answer as soon as its head is there.
///
/// # Errors
/// As [`get`], together with how far the request came.
pub fn open(
    upstream: &str,
    base: &BaseUrl,
    path_and_query: &str,
    ask: Ask<'_>,
    headers: &[Header<'_>],
    bounds: &Bounds,
) -> Result<Incoming, Failure> {
    let target = Target {
        upstream: upstream.to_owned(),
        origin: base.origin(),
    };
    let (request, body) = request(&target, base, path_and_query, &ask, headers)?;
    let options = RequestOptions::new();
    let nanoseconds = |milliseconds: u64| Some(milliseconds.saturating_mul(1_000_000));
    // A host without one of these timeouts returns an error, and its own timeout holds.
    let _ = options.set_connect_timeout(nanoseconds(bounds.connect_timeout_ms));
    let _ = options.set_first_byte_timeout(nanoseconds(bounds.first_byte_timeout_ms));
    let _ = options.set_between_bytes_timeout(nanoseconds(bounds.between_bytes_timeout_ms));

    let pending =
        outgoing_handler::handle(request, Some(options)).map_err(|cause| target.failure(&cause))?;
    let answered = pending.subscribe();
    if let (Some(body), Some(bytes)) = (body, ask.body()) {
        write(body, bytes, &answered);
    }
    answered.block();
    let response = pending
        .get()
        .expect("the pollable of a future response is ready once the response is there")
        .expect("a future response is taken once, here")
        .map_err(|cause| target.failure(&cause))?;
    Ok(Incoming::new(target, response)?)
}

fn request(
    target: &Target,
    base: &BaseUrl,
    path_and_query: &str,
    ask: &Ask<'_>,
    headers: &[Header<'_>],
) -> Result<(OutgoingRequest, Option<OutgoingBody>), Failure> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value).map_err(|_| {
            tool_error(
                "tool_failed",
                format!("the host does not let this tool send the header {name}"),
            )
        })?;
    }
    if let Some(body) = ask.body() {
        let length = body.len().to_string();
        fields
            .append("content-length", length.as_bytes())
            .expect("a number is a valid value of this header");
    }
    let request = OutgoingRequest::new(fields);
    let scheme = if base.is_https {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let path = format!("{}{path_and_query}", base.path);
    let addressed = request
        .set_method(&ask.method())
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(&base.authority)))
        .and_then(|()| request.set_path_with_query(Some(&path)));
    let body = addressed.and_then(|()| match ask.body() {
        None => Ok(None),
        Some(_) => request.body().map(Some),
    });
    let body = body.map_err(|()| {
        let upstream = &target.upstream;
        tool_error(
            "tool_failed",
            format!("the host does not accept the address of {upstream}"),
        )
    })?;
    Ok((request, body))
}

/// Writes the body until it is whole or `answered` is ready. A server may answer before it has read
/// all of the body, and the answer then tells what became of the rest.
fn write(body: OutgoingBody, mut bytes: &[u8], answered: &Pollable) {
    let Ok(stream) = body.write() else { return };
    let writable = stream.subscribe();
    while !bytes.is_empty() {
        let Ok(room) = stream.check_write() else {
            return;
        };
        if room == 0 {
            if poll::poll(&[&writable, answered]).contains(&1) {
                return;
            }
            continue;
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (piece, rest) = bytes.split_at(room.min(bytes.len()));
        if stream.write(piece).is_err() {
            return;
        }
        bytes = rest;
    }
    drop((writable, stream));
    // If the body was given up, the answer tells why.
    let _ = OutgoingBody::finish(body, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_an_origin_and_the_start_of_a_path() {
        let base = BaseUrl::parse("https://api.example.com/v1/").expect("valid");
        assert_eq!(base.origin(), "https://api.example.com");
        assert_eq!(base.path, "/v1");
        let base = BaseUrl::parse("http://127.0.0.1:8080").expect("valid");
        assert_eq!(base.origin(), "http://127.0.0.1:8080");
        assert_eq!(base.path, "");
    }

    #[test]
    fn what_is_more_or_less_than_a_base_url_is_refused() {
        for wrong in [
            "",
            "api.example.com",
            "/path",
            "ftp://api.example.com",
            "https://",
            "https://user:word@api.example.com",
            "https://api.example.com/?q=1",
            "https://api.example.com/#part",
            "https://api.example.com/a b",
        ] {
            assert_eq!(BaseUrl::parse(wrong), None, "{wrong}");
        }
    }
}
