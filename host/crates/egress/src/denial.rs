//! A refusal: what was refused, to whom, and why. It never holds a path, a query, a header's value
//! or a secret's value, so that it can go into the audit unchanged.

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
    /// The method asks for a tunnel, or for an echo of the request's headers.
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

impl DenialReason {
    /// Returns the error for the tool.
    pub(super) fn error(&self) -> WasiError {
        match self {
            Self::AddressRefused { .. } => WasiError::DestinationIpProhibited,
            _ => WasiError::HttpRequestDenied,
        }
    }

    /// Returns a stable word for the audit, in snake case.
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
    pub(super) fn report(&self, reason: DenialReason) {
        self.log.denied(&EgressDenied {
            app: self.scope.app.clone(),
            tool: self.scope.tool.clone(),
            origin: self.origin.clone(),
            reason,
        });
    }
}
