//! `[server.auth_failures]` and `[server.rate_limit]` of the configuration.

use std::num::{NonZeroU32, NonZeroUsize};

use schemars::JsonSchema;
use serde::Deserialize;

const TABLE_ENTRIES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

pub(super) const fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("a default is not zero")
}

/// `[server.auth_failures]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthFailureLimits {
    /// Failures that one peer may have at once; beyond them it is answered 429.
    pub burst: NonZeroU32,
    /// Failures that a peer gets back in a minute.
    pub per_minute: NonZeroU32,
    /// Peers that are remembered.
    pub max_peers: NonZeroUsize,
    /// Refused sign-ins in a minute, of all peers together, that have an audit entry each. Those
    /// beyond are counted in one entry.
    pub max_audited_per_minute: u32,
}

impl Default for AuthFailureLimits {
    fn default() -> Self {
        Self {
            burst: at_least_one(20),
            per_minute: at_least_one(20),
            max_peers: TABLE_ENTRIES,
            max_audited_per_minute: 60,
        }
    }
}

/// `[server.rate_limit]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestRateLimits {
    /// Requests of one API key in a second, over time; beyond them it is answered 429. Without this
    /// key there is no limit.
    #[schemars(example = 50)]
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests of one API key at once, where `requests_per_second` is set.
    pub burst: NonZeroU32,
    /// API keys that are remembered.
    pub max_keys: NonZeroUsize,
}

impl Default for RequestRateLimits {
    fn default() -> Self {
        Self {
            requests_per_second: None,
            burst: at_least_one(50),
            max_keys: TABLE_ENTRIES,
        }
    }
}
