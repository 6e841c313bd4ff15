//! A refusal: what was refused, to whom, and why. It never holds a path, a query, a header's value
//! or a secret's value, so that it can go into the audit unchanged.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;
use wasmtime_wasi_http::Error as WasiError;

use super::Origin;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DenialReason {
    /// The tool is not granted the origin.
    #[error("the tool is not granted this origin; add it to the tool's origins in tavora.toml")]
    OriginNotGranted,
    /// The target is no http or https origin, or has a user name.
    #[error("the target of the request is not an http or https origin; send no user name in it")]
    TargetInvalid,
    /// The address is not public, or the name resolves to such an address.
    #[error(
        "the origin leads to {address}, which is {range}; to allow it, add the origin to [egress] allow_private_origins"
    )]
    AddressRefused {
        address: IpAddr,
        /// The kind of the address.
        range: &'static str,
    },
    /// The request carries a secret that is bound to other origins, or goes to the origin that such
    /// a secret names.
    #[error("the request carries the secret \"{name}\", which is bound to other origins")]
    SecretBoundElsewhere {
        /// The secret's name.
        name: String,
        /// Whether the origin is the one that the secret's value names.
        is_its_own: bool,
    },
    /// A stand-in stands in a place that is not the slot of its secret.
    #[error(
        "the request carries the stand-in of the secret \"{name}\" in {place}, which is not its slot"
    )]
    StandInMisplaced {
        /// The name of the secret.
        name: String,
        /// The place where the stand-in was found.
        place: StandInPlace,
    },
    /// The slot holds more than the stand-in.
    #[error("the slot of the secret \"{name}\" holds something beside the stand-in")]
    StandInNotAlone {
        /// The name of the secret.
        name: String,
    },
    /// The slot holds two stand-ins.
    #[error("the slot of the secret \"{name}\" holds two stand-ins")]
    StandInTwice {
        /// The name of the secret.
        name: String,
    },
    /// The stand-in was made for an earlier call.
    #[error(
        "the request carries a stand-in of the secret \"{name}\" that was made for an earlier call; resolve the secret at each call"
    )]
    StandInExpired {
        /// The name of the secret.
        name: String,
    },
    /// This instance was never given this stand-in.
    #[error("the request carries a stand-in that was not made for this tool in this run")]
    StandInUnknown,
    /// The value of the secret cannot be sent in its slot.
    #[error(
        "secret \"{name}\" cannot be sent in an HTTP request: it {what}; store it again without"
    )]
    SecretUnfit {
        /// The name of the secret.
        name: String,
        /// The fault of the value, as the end of a sentence.
        what: &'static str,
    },
    /// The method requests a tunnel or an echo of the request's headers.
    #[error("the method {method} is not allowed; use another method")]
    MethodRefused {
        /// The method's name.
        method: &'static str,
    },
    /// The header is reserved for the host.
    #[error("the header {header} is set by the host; leave it out")]
    HeaderRefused {
        /// The header's name.
        header: String,
    },
}

/// A part of a request in which a stand-in was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandInPlace {
    /// The value of this header.
    Header(HeaderName),
    /// The name of a header.
    HeaderName,
    /// This parameter of the query.
    Parameter(String),
    /// The method, the path or the query.
    Target,
    /// The body.
    Body,
    /// The trailers.
    Trailers,
}

impl fmt::Display for StandInPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::HeaderName => f.write_str("the name of a header"),
            Self::Parameter(name) => write!(f, "the parameter {name} of the query"),
            Self::Target => f.write_str("the method, the path or the query"),
            Self::Body => f.write_str("the body"),
            Self::Trailers => f.write_str("the trailers"),
        }
    }
}

impl DenialReason {
    /// Returns the error for the tool.
    pub(super) fn error(&self) -> WasiError {
        match self {
            Self::AddressRefused { .. } => WasiError::DestinationIpProhibited,
            _ => WasiError::HttpRequestDenied,
        }
    }

    /// Returns the secret that the refusal is about, if it is about one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::SecretBoundElsewhere { name, .. }
            | Self::StandInMisplaced { name, .. }
            | Self::StandInNotAlone { name }
            | Self::StandInTwice { name }
            | Self::StandInExpired { name }
            | Self::SecretUnfit { name, .. } => Some(name),
            _ => None,
        }
    }

    /// A stable word for the audit, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OriginNotGranted => "origin_not_granted",
            Self::TargetInvalid => "target_invalid",
            Self::AddressRefused { .. } => "address_refused",
            Self::SecretBoundElsewhere { .. } => "secret_bound_elsewhere",
            Self::StandInMisplaced { .. } => "stand_in_misplaced",
            Self::StandInNotAlone { .. } => "stand_in_not_alone",
            Self::StandInTwice { .. } => "stand_in_twice",
            Self::StandInExpired { .. } => "stand_in_expired",
            Self::StandInUnknown => "stand_in_unknown",
            Self::SecretUnfit { .. } => "secret_unfit",
            Self::MethodRefused { .. } => "method_refused",
            Self::HeaderRefused { .. } => "header_refused",
        }
    }
}

/// The app and the tool that an instance sends requests for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EgressScope {
    /// The app's id.
    pub app: String,
    pub tool: String,
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressDenied {
    /// The app's id.
    pub app: String,
    pub tool: String,
    /// The destination, or nothing if it could not be determined.
    pub origin: Option<Origin>,
    pub reason: DenialReason,
}

/// Receives each refusal before the tool does.
pub trait EgressLog: Send + Sync {
    /// Records a refusal. The calling thread must not be blocked.
    fn denied(&self, denied: &EgressDenied);

    /// Records that an upstream's answer held a secret that the tool never saw, and that the secret
    /// was removed. The calling thread must not be blocked.
    fn echoed(&self, _tool: &str, _secret: &str) {}
}

impl<F: Fn(&EgressDenied) + Send + Sync> EgressLog for F {
    fn denied(&self, denied: &EgressDenied) {
        self(denied);
    }
}

/// Reports the refusals of one request to the log.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) scope: EgressScope,
    pub(super) origin: Option<Origin>,
    pub(super) log: Arc<dyn EgressLog>,
}

impl Reporter {
    pub(super) fn echoed(&self, secret: &str) {
        self.log.echoed(&self.scope.tool, secret);
    }

    pub(super) fn report(&self, reason: DenialReason) {
        self.log.denied(&EgressDenied {
            app: self.scope.app.clone(),
            tool: self.scope.tool.clone(),
            origin: self.origin.clone(),
            reason,
        });
    }
}
