//! `[server.auth_failures]` and `[server.rate_limit]` of the configuration.

use std::num::{NonZeroU32, NonZeroUsize};

use serde::Deserialize;

const TABLE_ENTRIES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

pub(super) const fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("a default is not zero")
}

/// `[server.auth_failures]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthFailureLimits {
    /// How many failures one peer may have in a row.
    pub burst: NonZeroU32,
    /// How many failures are forgiven per minute.
    pub per_minute: NonZeroU32,
    /// The most peers in the table.
    pub max_peers: NonZeroUsize,
    /// How many refused sign-ins of all peers get their own audit entry in a minute. The rest share
    /// one entry with a count.
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
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestRateLimits {
    /// How many requests per second one API key may make on average. Without it there is no limit.
    pub requests_per_second: Option<NonZeroU32>,
    /// How many requests one API key may make at once.
    pub burst: NonZeroU32,
    /// The most API keys in the table.
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
