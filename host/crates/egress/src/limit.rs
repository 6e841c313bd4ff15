//! The limits of outbound traffic, with their names, defaults and units. They are enforced
//! elsewhere.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[egress.limits]`: a guest can ask for a shorter time, never for a longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EgressLimits {
    /// The time until a connection stands: name, TCP and TLS together.
    pub connect_timeout_ms: NonZeroU64,
    /// The time from the connection to the head of the response, the sending of the request
    /// included.
    pub first_byte_timeout_ms: NonZeroU64,
    /// The time between two pieces of a response's body.
    pub idle_timeout_ms: NonZeroU64,
    /// The body of one request.
    pub max_request_body_bytes: NonZeroU64,
    /// The part of a request's body that is kept until the answer begins, to send it again when a
    /// connection of the pool turns out to be dead.
    pub max_resent_body_bytes: NonZeroU64,
    /// The body of one response, unpacked where it is compressed.
    pub max_response_body_bytes: NonZeroU64,
    /// Names and values of one response's headers together.
    pub max_response_header_bytes: NonZeroU64,
    /// Requests of one tool instance at a time, until their bodies are read or dropped.
    pub max_concurrent_requests: NonZeroUsize,
    /// The time that an unused connection stays open.
    pub pool_idle_timeout_ms: NonZeroU64,
    /// Unused connections of one app's tool to one origin.
    pub max_idle_connections_per_origin: NonZeroUsize,
    /// Connection pools, one for each pair of app and tool; the one that was unused for longest
    /// goes first.
    pub max_pools: NonZeroUsize,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: count(10_000),
            first_byte_timeout_ms: count(60_000),
            idle_timeout_ms: count(60_000),
            max_request_body_bytes: count(16 << 20),
            max_resent_body_bytes: count(1 << 20),
            max_response_body_bytes: count(16 << 20),
            max_response_header_bytes: count(64 << 10),
            max_concurrent_requests: number(32),
            pool_idle_timeout_ms: count(30_000),
            max_idle_connections_per_origin: number(16),
            max_pools: number(256),
        }
    }
}

impl EgressLimits {
    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.get())
    }

    pub(super) fn first_byte_timeout(&self) -> Duration {
        Duration::from_millis(self.first_byte_timeout_ms.get())
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms.get())
    }

    pub(super) fn pool_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.pool_idle_timeout_ms.get())
    }
}

fn count(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).expect("defaults are above zero")
}

fn number(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).expect("defaults are above zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_has_its_default_and_an_unknown_or_zero_one_is_refused() {
        let limits: EgressLimits = toml::from_str("connect_timeout_ms = 5").expect("valid");
        assert_eq!(limits.connect_timeout(), Duration::from_millis(5));
        assert_eq!(
            limits.max_response_body_bytes,
            EgressLimits::default().max_response_body_bytes
        );
        assert!(toml::from_str::<EgressLimits>("conect_timeout_ms = 5").is_err());
        assert!(toml::from_str::<EgressLimits>("connect_timeout_ms = 0").is_err());
    }
}
