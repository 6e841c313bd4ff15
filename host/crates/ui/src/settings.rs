//! `[admin]` of the configuration.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;

/// `[admin]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// The time that a session lasts without a request.
    pub session_idle_timeout_ms: u64,
    /// The time that a session lasts in all.
    pub session_lifetime_ms: u64,
    /// Sessions at once; one more ends the one that was unused for longest.
    pub max_sessions: NonZeroUsize,
    /// The form to sign in with. It is read for somebody who is not known yet.
    pub max_sign_in_bytes: usize,
    /// Whether browsers come by HTTPS through a proxy in front of this host, so that cookies never
    /// travel without it. A host with a certificate of its own knows that by itself.
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
