//! A refusal: what was refused, to whom, and why. It never holds a path, a query,
//! a header's value or a secret's value, so that it can go to the audit as it is.

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
    /// The target is not an http or https origin, or holds a user name.
    #[error("the target of the request is not an http or https origin; send no user name in it")]
    TargetInvalid,
    /// The name leads to an address that is not public, or the address is one.
    #[error(
        "the origin leads to {address}, which is {range}; to allow it, add the origin to [egress] allow_private_origins"
    )]
    AddressRefused {
        /// The first address that was refused.
        address: IpAddr,
        /// What kind of address it is.
        range: &'static str,
    },
    /// The request carries a secret that is bound to other origins.
    #[error("the request carries the secret \"{name}\", which is bound to other origins")]
    SecretBoundElsewhere {
        /// The name of the secret.
        name: String,
    },
    /// A stand-in is somewhere else than in the slot of its secret.
    #[error(
        "the request carries the stand-in of the secret \"{name}\" in {place}, which is not its slot"
    )]
    StandInMisplaced {
        /// The name of the secret.
        name: String,
        /// Where it was.
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
    /// Nobody gave this stand-in to this instance.
    #[error("the request carries a stand-in that was not made for this tool in this run")]
    StandInUnknown,
    /// The value of the secret cannot stand where it should.
    #[error(
        "secret \"{name}\" cannot be sent in an HTTP request: it {what}; store it again without"
    )]
    SecretUnfit {
        /// The name of the secret.
        name: String,
        /// What is wrong with the value.
        what: &'static str,
    },
    /// A method that asks for a tunnel or for an echo of the request's headers.
    #[error("the method {method} is not allowed; use another method")]
    MethodRefused {
        /// The method.
        method: &'static str,
    },
    /// A header that belongs to the host.
    #[error("the header {header} is set by the host; leave it out")]
    HeaderRefused {
        /// The name of the header.
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
    /// What the tool is told.
    pub(super) fn error(&self) -> WasiError {
        match self {
            Self::AddressRefused { .. } => WasiError::DestinationIpProhibited,
            _ => WasiError::HttpRequestDenied,
        }
    }

    /// The secret that it is about, if it is about one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::SecretBoundElsewhere { name }
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

/// For whom a tool instance sends requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EgressScope {
    /// The id of the app.
    pub app: String,
    /// The name of the tool.
    pub tool: String,
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressDenied {
    /// The id of the app for which the tool ran.
    pub app: String,
    /// The name of the tool.
    pub tool: String,
    /// Where the request was to go; none when that could not be told.
    pub origin: Option<Origin>,
    /// Why it was refused.
    pub reason: DenialReason,
}

/// Who is told of each refusal, before the tool is.
pub trait EgressLog: Send + Sync {
    /// A request was refused. It is called on a thread that must not block.
    fn denied(&self, denied: &EgressDenied);

    /// An upstream's answer to this tool held a secret that the tool never saw, and it was taken
    /// out. It is called on a thread that must not block.
    fn echoed(&self, _tool: &str, _secret: &str) {}
}

impl<F: Fn(&EgressDenied) + Send + Sync> EgressLog for F {
    fn denied(&self, denied: &EgressDenied) {
        self(denied);
    }
}

/// Tells the log of refusals of one request.
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
