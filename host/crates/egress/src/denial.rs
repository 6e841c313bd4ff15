//! A refusal: what was refused, to whom, and why. It never holds a path, a query,
//! a header's value or a secret's value, so that it can go to the audit as it is.

use std::net::IpAddr;
use std::sync::Arc;

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
    /// The request carries a secret that is bound to other origins, or goes to the origin that such
    /// a secret names.
    #[error("the request carries the secret \"{name}\", which is bound to other origins")]
    SecretBoundElsewhere {
        /// The name of the secret.
        name: String,
        /// Whether the origin is the one that the secret's value names.
        is_its_own: bool,
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

impl DenialReason {
    /// What the tool is told.
    pub(super) fn error(&self) -> WasiError {
        match self {
            Self::AddressRefused { .. } => WasiError::DestinationIpProhibited,
            _ => WasiError::HttpRequestDenied,
        }
    }

    /// A stable word for the audit, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OriginNotGranted => "origin_not_granted",
            Self::TargetInvalid => "target_invalid",
            Self::AddressRefused { .. } => "address_refused",
            Self::SecretBoundElsewhere { .. } => "secret_bound_elsewhere",
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
    pub(super) fn report(&self, reason: DenialReason) {
        self.log.denied(&EgressDenied {
            app: self.scope.app.clone(),
            tool: self.scope.tool.clone(),
            origin: self.origin.clone(),
            reason,
        });
    }
}
