//! The limits of outbound traffic, with their names, defaults and units. They are enforced
//! elsewhere.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits of outbound traffic. A tool can ask for shorter times, never for longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressLimits {
    /// Time to connect: name resolution, TCP and TLS together. Default 10 s.
    pub connect_timeout_ms: NonZeroU64,
    /// Time from the connection to the head of the response, including sending the request. Default
    /// 60 s.
    pub first_byte_timeout_ms: NonZeroU64,
    /// Time between two pieces of a response's body. Default 60 s.
    pub idle_timeout_ms: NonZeroU64,
    /// The longest body of a request. Default 16 MiB.
    pub max_request_body_bytes: NonZeroU64,
    /// How much of a request's body is kept until the answer begins, so that the request can be
    /// sent again after a pooled connection turns out to be dead. Default 1 MiB.
    pub max_resent_body_bytes: NonZeroU64,
    /// The longest body of a response, after decompression. Default 16 MiB.
    pub max_response_body_bytes: NonZeroU64,
    /// The largest total of a response's header names and values. Default 64 KiB.
    pub max_response_header_bytes: NonZeroU64,
    /// The most requests of one tool instance at a time, until their bodies are read or dropped.
    /// Default 32.
    pub max_concurrent_requests: NonZeroUsize,
    /// How long an unused connection stays open. Default 30 s.
    pub pool_idle_timeout_ms: NonZeroU64,
    /// The most unused connections of one app's tool to one origin. Default 16.
    pub max_idle_connections_per_origin: NonZeroUsize,
    /// The most pools, one for each pair of app and tool. The least recently used pool is dropped
    /// first. Default 256.
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
