//! `[admin]` of the configuration.

use std::num::NonZeroUsize;

use serde::Deserialize;

/// `[admin]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// How long a session lasts without a request, in milliseconds.
    pub session_idle_timeout_ms: u64,
    /// How long a session lasts at most, in milliseconds.
    pub session_lifetime_ms: u64,
    /// The most sessions at once. A further one ends the least recently used session.
    pub max_sessions: NonZeroUsize,
    /// The longest sign-in form, in bytes. It is collected before the sender is known.
    pub max_sign_in_bytes: usize,
    /// Whether browsers reach this host by HTTPS through a proxy. If the host has its own
    /// certificate, it knows this without the setting.
    pub https_in_front: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            session_idle_timeout_ms: 1_800_000,
            session_lifetime_ms: 43_200_000,
            max_sessions: NonZeroUsize::new(64).expect("it is not zero"),
            max_sign_in_bytes: 4_096,
            https_in_front: false,
        }
    }
}
