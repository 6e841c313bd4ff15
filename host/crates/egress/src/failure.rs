//! Decides what a tool learns about a failed request. Only this module turns the libraries' errors
//! into those of `wasi:http`. Error messages are not passed on, because they can quote what an
//! upstream sent.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;
use wasmtime_wasi_http::Error as WasiError;

use super::DenialReason;
use super::connect::ConnectFailure;

/// Why a request failed.
pub(super) enum Failure {
    /// The policy refused the request.
    Denied(DenialReason),
    /// Another cause.
    Failed(WasiError),
}

impl Failure {
    /// Returns the word for metrics and traces.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Failed(error) => match error {
                WasiError::DnsTimeout | WasiError::DnsError { .. } => "name_not_resolved",
                WasiError::ConnectionLimitReached
                | WasiError::HttpRequestBodySize(_)
                | WasiError::HttpResponseBodySize(_)
                | WasiError::HttpResponseHeaderSectionSize(_) => "limit_exceeded",
                WasiError::ConnectionTimeout => "connect_timeout",
                WasiError::HttpResponseTimeout => "response_timeout",
                WasiError::TlsProtocolError
                | WasiError::TlsCertificateError
                | WasiError::TlsAlertReceived { .. } => "tls_failed",
                WasiError::ConnectionRefused
                | WasiError::ConnectionTerminated
                | WasiError::DestinationUnavailable => "unreachable",
                _ => "protocol_error",
            },
        }
    }

    /// Returns the limit behind the failure, if that is certain: a tool can also ask for shorter
    /// times.
    pub(super) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Failed(WasiError::ConnectionLimitReached) => {
                Some("egress.limits.max_concurrent_requests")
            }
            Self::Failed(WasiError::HttpResponseBodySize(_)) => {
                Some("egress.limits.max_response_body_bytes")
            }
            Self::Failed(WasiError::HttpResponseHeaderSectionSize(_)) => {
                Some("egress.limits.max_response_header_bytes")
            }
            _ => None,
        }
    }
}

impl From<WasiError> for Failure {
    fn from(error: WasiError) -> Self {
        Self::Failed(error)
    }
}

impl From<DenialReason> for Failure {
    fn from(reason: DenialReason) -> Self {
        Self::Denied(reason)
    }
}

impl From<legacy::Error> for Failure {
    fn from(error: legacy::Error) -> Self {
        if let Some(failure) = cause::<ConnectFailure>(&error) {
            return match failure {
                ConnectFailure::Refused(reason) => Self::Denied(reason.clone()),
                ConnectFailure::NoOrigin(_) => Self::Denied(DenialReason::TargetInvalid),
                ConnectFailure::Unresolved(_) => Self::Failed(WasiError::DnsError {
                    rcode: Some("name not resolved".to_owned()),
                    info_code: None,
                }),
                ConnectFailure::TooLong => Self::Failed(WasiError::ConnectionTimeout),
            };
        }
        if let Some(error) = cause::<rustls::Error>(&error) {
            return Self::Failed(of_tls(error));
        }
        if let Some(error) = cause::<hyper::Error>(&error) {
            return Self::Failed(of_hyper(error));
        }
        if let Some(error) = cause::<io::Error>(&error) {
            return Self::Failed(of_io(error));
        }
        Self::Failed(WasiError::ConnectionTerminated)
    }
}

/// Maps a protocol error that occurs while waiting for a response or reading its body.
pub(super) fn of_hyper(error: &hyper::Error) -> WasiError {
    if error.is_parse_too_large() {
        return WasiError::HttpResponseHeaderSectionSize(None);
    }
    if error.is_parse() {
        return WasiError::HttpProtocolError;
    }
    if error.is_incomplete_message() {
        return WasiError::HttpResponseIncomplete;
    }
    match cause::<io::Error>(error) {
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            WasiError::HttpResponseIncomplete
        }
        Some(error) => of_io(error),
        None if error.is_canceled() || error.is_closed() => WasiError::ConnectionTerminated,
        None => WasiError::HttpProtocolError,
    }
}

/// Whether the upstream certainly did not process a request on an HTTP/2 connection: it refused the
/// stream, or is going away and has not begun the request.
pub(super) fn was_refused_unread(error: &legacy::Error) -> bool {
    let Some(error) = cause::<h2::Error>(error) else {
        return false;
    };
    let reason = error.reason();
    error.is_remote()
        && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
            || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
}

/// Whether the upstream closed the connection.
pub(super) fn is_closed(error: &legacy::Error) -> bool {
    let closed_by = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        )
    };
    cause::<hyper::Error>(error).is_some_and(|error| {
        error.is_incomplete_message()
            || error.is_canceled()
            || error.is_closed()
            || cause::<io::Error>(error).is_some_and(closed_by)
    })
}

fn of_io(error: &io::Error) -> WasiError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => WasiError::ConnectionRefused,
        io::ErrorKind::TimedOut => WasiError::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            WasiError::DestinationUnavailable
        }
        _ => WasiError::ConnectionTerminated,
    }
}

fn of_tls(error: &rustls::Error) -> WasiError {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            WasiError::TlsCertificateError
        }
        rustls::Error::AlertReceived(alert) => WasiError::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: None,
        },
        _ => WasiError::TlsProtocolError,
    }
}

/// Returns the first error of type `E` among an error and its causes.
fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of an I/O error is not the wrapped error but that error's source.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
