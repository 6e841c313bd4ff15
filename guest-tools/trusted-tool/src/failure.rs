//! Why a request has no answer: the error that the user sees, and how far the request came. Retries
//! are decided elsewhere.

use crate::bindings::wasi::http::types::ErrorCode;
use crate::{ToolError, tool_error};

/// The number of characters that are shown of a compression's name.
const MAX_CODING_CHARS: usize = 64;

/// A request without an answer.
#[derive(Debug)]
pub struct Failure {
    /// The error that the user sees.
    pub error: ToolError,
    /// The point that the request reached.
    pub stage: Stage,
}

impl From<Failure> for ToolError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The point that a failed request reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There was no connection, so nothing was sent.
    Connecting,
    /// The upstream took too long.
    Waiting,
    /// Something else happened, and the request may have been sent.
    Unknown,
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Self {
            error,
            stage: Stage::Unknown,
        }
    }
}

/// The upstream of a request, by the name that the user knows, and its origin.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) upstream: String,
    pub(crate) origin: String,
}

impl Target {
    pub(crate) fn failure(&self, cause: &ErrorCode) -> Failure {
        Failure {
            error: self.error(cause),
            stage: stage(cause),
        }
    }

    pub(crate) fn broken_off(&self) -> ToolError {
        tool_error(
            "upstream_error",
            format!(
                "{} broke off its answer, fell silent, or went beyond a limit of the host; try again",
                self.upstream
            ),
        )
    }

    /// The error for an answer that broke off.
    pub(crate) fn broken_by(&self, cause: &ErrorCode) -> ToolError {
        match cause {
            ErrorCode::HttpResponseBodySize(_)
            | ErrorCode::HttpResponseContentCoding(_)
            | ErrorCode::ConnectionReadTimeout => self.error(cause),
            _ => self.broken_off(),
        }
    }

    pub(crate) fn too_late(&self) -> ToolError {
        self.error(&ErrorCode::HttpResponseTimeout)
    }

    pub(crate) fn too_long(&self, max_bytes: u64) -> ToolError {
        too_long(&self.upstream, max_bytes)
    }

    fn packed(&self, coding: Option<&str>) -> ToolError {
        let upstream = &self.upstream;
        let is_name = |name: &&str| {
            name.len() <= MAX_CODING_CHARS
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        };
        let with = match coding.filter(is_name) {
            Some(name) => format!(" with {name:?}"),
            None => String::new(),
        };
        tool_error(
            "upstream_error",
            format!(
                "the answer of {upstream} is compressed{with}, which was not asked for and cannot be \
                 unpacked; tell the operator"
            ),
        )
    }

    fn error(&self, cause: &ErrorCode) -> ToolError {
        let Self { upstream, origin } = self;
        match cause {
            ErrorCode::DestinationIpProhibited => tool_error(
                "egress_denied",
                format!(
                    "the egress policy does not let this tool reach {origin}, whose address is not \
                     public; the operator can add the origin to [egress] allow_private_origins"
                ),
            ),
            ErrorCode::HttpRequestDenied
            | ErrorCode::HttpRequestMethodInvalid
            | ErrorCode::HttpRequestUriInvalid => tool_error(
                "egress_denied",
                format!(
                    "the egress policy does not let this tool send this to {origin}; the operator's \
                     log says why, and the operator can grant an origin that is not granted"
                ),
            ),
            ErrorCode::DnsTimeout
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout => tool_error(
                "upstream_unreachable",
                format!("{upstream} ({origin}) did not answer in time; try again later"),
            ),
            ErrorCode::HttpResponseBodySize(_) => tool_error(
                "upstream_error",
                format!(
                    "{upstream} answered with more than the host's limit \
                     egress.limits.max_response_body_bytes allows; ask for less"
                ),
            ),
            ErrorCode::HttpResponseContentCoding(coding) => self.packed(coding.as_deref()),
            ErrorCode::HttpResponseIncomplete => tool_error(
                "upstream_error",
                format!("{upstream} closed the connection before its answer was whole; try again"),
            ),
            ErrorCode::ConnectionTerminated => tool_error(
                "upstream_unreachable",
                format!("{upstream} ({origin}) closed the connection; try again"),
            ),
            ErrorCode::HttpResponseHeaderSectionSize(_)
            | ErrorCode::HttpResponseHeaderSize(_)
            | ErrorCode::HttpResponseTransferCoding(_)
            | ErrorCode::HttpProtocolError => tool_error(
                "upstream_error",
                format!("{upstream} gave an answer that is no proper HTTP; try again later"),
            ),
            ErrorCode::TlsCertificateError
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsAlertReceived(_) => tool_error(
                "upstream_unreachable",
                format!(
                    "{upstream} ({origin}) could not prove who it is by TLS; tell the operator"
                ),
            ),
            ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => tool_error(
                "upstream_unreachable",
                format!("{upstream} ({origin}) has no address that can be found; try again later"),
            ),
            _ => tool_error(
                "upstream_unreachable",
                format!("{upstream} ({origin}) cannot be reached; try again later"),
            ),
        }
    }
}

/// The error for an answer with more than `max_bytes`.
pub fn too_long(upstream: &str, max_bytes: u64) -> ToolError {
    tool_error(
        "upstream_error",
        format!(
            "{upstream} answered with more than {max_bytes} bytes, the limit max_response_bytes; ask for less"
        ),
    )
}

fn stage(cause: &ErrorCode) -> Stage {
    match cause {
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout => Stage::Connecting,
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Stage::Waiting,
        _ => Stage::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_in_words_of_its_own() {
        let target = Target {
            upstream: "Example".to_owned(),
            origin: "https://api.example.com".to_owned(),
        };
        for (cause, words) in [
            (ErrorCode::DestinationIpProhibited, "allow_private_origins"),
            (ErrorCode::HttpRequestDenied, "the operator's log says why"),
            (
                ErrorCode::HttpResponseIncomplete,
                "closed the connection before",
            ),
            (
                ErrorCode::ConnectionTerminated,
                "closed the connection; try again",
            ),
            (ErrorCode::HttpProtocolError, "no proper HTTP"),
            (
                ErrorCode::HttpResponseContentCoding(Some("lz4".to_owned())),
                "is compressed with \"lz4\"",
            ),
            (
                ErrorCode::HttpResponseContentCoding(Some("a\nb".to_owned())),
                "is compressed, which",
            ),
        ] {
            let message = target.error(&cause).message;
            assert!(message.contains(words), "{message}");
        }
        let coding = ErrorCode::HttpResponseContentCoding(Some("gzip".to_owned()));
        assert!(target.broken_by(&coding).message.contains("\"gzip\""));
    }

    #[test]
    fn what_the_host_refuses_is_told_from_what_fails() {
        let target = Target {
            upstream: "Example".to_owned(),
            origin: "https://api.example.com".to_owned(),
        };
        for (cause, code, stage) in [
            (
                ErrorCode::HttpRequestDenied,
                "egress_denied",
                Stage::Unknown,
            ),
            (
                ErrorCode::DestinationIpProhibited,
                "egress_denied",
                Stage::Unknown,
            ),
            (
                ErrorCode::ConnectionRefused,
                "upstream_unreachable",
                Stage::Connecting,
            ),
            (
                ErrorCode::ConnectionTimeout,
                "upstream_unreachable",
                Stage::Connecting,
            ),
            (
                ErrorCode::HttpResponseTimeout,
                "upstream_unreachable",
                Stage::Waiting,
            ),
            (
                ErrorCode::ConnectionTerminated,
                "upstream_unreachable",
                Stage::Unknown,
            ),
            (
                ErrorCode::TlsCertificateError,
                "upstream_unreachable",
                Stage::Unknown,
            ),
            (
                ErrorCode::InternalError(None),
                "upstream_unreachable",
                Stage::Unknown,
            ),
            (
                ErrorCode::HttpProtocolError,
                "upstream_error",
                Stage::Unknown,
            ),
        ] {
            let failure = target.failure(&cause);
            assert_eq!(
                (&*failure.error.code, failure.stage),
                (code, stage),
                "{cause:?}"
            );
        }
    }
}
