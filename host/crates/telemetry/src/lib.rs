//! The host's reports about itself for its operator: metrics, traces and logs.
//!
//! None of them ever holds a secret's value or name, or anything that an agent or a client made up.
//! Those belong in the audit log.

pub mod activity;
pub mod http;
pub mod log;
pub mod metrics;
mod own;
pub mod request_id;
mod settings;
pub mod traces;
pub mod walk;
#[cfg(any(test, feature = "testing"))]
pub mod written;

pub use self::metrics::Metrics;
pub use self::settings::{InvalidEndpoint, OtlpEndpoint, TelemetryConfig};
