//! How often may one peer fail to sign in, and how often may one API key ask.
//!
//! Both are leaky buckets (the generic cell rate algorithm) in memory: a restart forgets them, and
//! so does a table that is full. That is enough, because credentials have 256 random bits: the
//! throttle keeps guessing from being cheap noise, it is not what makes guessing hopeless. What a
//! refusal looks like on the wire is not here.

mod settings;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use vault_core::ApiKeyId;

pub use self::settings::{AuthFailureLimits, RequestRateLimits};
use crate::peer::Peer;

/// Too often: 429 `too_many_requests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {retry_after_secs} s")]
pub struct TooManyRequests {
    /// What `Retry-After` says: whole seconds, 1 or more.
    pub retry_after_secs: u64,
}

/// Counts failed authentications by the peer's address.
///
/// The operator's token is checked behind [`check`](Self::check): a peer over its limit is not
/// heard at all.
///
/// An API key is looked at first, and only a wrong one is held against its peer: who has a right
/// key passes whatever others did from the same address, so that one bad client behind a shared
/// proxy locks nobody out. Guessing gains nothing by it, since each guess still counts, and a wrong
/// one beyond the limit is not told from the rest.
pub struct FailureThrottle {
    failures: Buckets<Peer>,
}

impl FailureThrottle {
    /// With nothing counted yet.
    pub fn new(limits: &AuthFailureLimits) -> Self {
        let refill = Duration::from_secs(60) / limits.per_minute.get();
        Self {
            failures: Buckets::new(refill, limits.burst, limits.max_peers),
        }
    }

    /// Whether credentials of this peer may be looked at. Counts nothing.
    pub fn check(&self, peer: IpAddr) -> Result<(), TooManyRequests> {
        self.failures.check(Peer::from(peer), Instant::now())
    }

    /// Counts a failure. An error means that the peer had no more of them before this one: answer
    /// with that, and not with what was wrong.
    pub fn failed(&self, peer: IpAddr) -> Result<(), TooManyRequests> {
        self.failures.take(Peer::from(peer), Instant::now())
    }
}

/// Counts requests by API key, if the operator set a rate.
pub struct RequestRate {
    requests: Option<Buckets<ApiKeyId>>,
}

impl RequestRate {
    /// With nothing counted yet.
    pub fn new(limits: &RequestRateLimits) -> Self {
        let requests = limits.requests_per_second.map(|per_second| {
            let refill = Duration::from_secs(1) / per_second.get();
            Buckets::new(refill, limits.burst, limits.max_keys)
        });
        Self { requests }
    }

    /// Counts a request of this key, which must be a valid one: others would fill the table.
    pub fn count(&self, key: ApiKeyId) -> Result<(), TooManyRequests> {
        match &self.requests {
            Some(requests) => requests.take(key, Instant::now()),
            None => Ok(()),
        }
    }
}

/// A bucket for each key, as the time at which it is full again: one that would be full now needs
/// no entry.
struct Buckets<K> {
    /// What one token takes to come back.
    refill: Duration,
    /// How far in the future a bucket may be full so that it still has a token.
    reach: Duration,
    max_entries: usize,
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(refill: Duration, burst: NonZeroU32, max_entries: NonZeroUsize) -> Self {
        Self {
            refill,
            reach: refill * (burst.get() - 1),
            max_entries: max_entries.get(),
            full_at: Mutex::default(),
        }
    }

    /// Whether there is a token.
    fn check(&self, key: K, now: Instant) -> Result<(), TooManyRequests> {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.admits(full_at.get(&key).copied(), now)
    }

    /// Takes a token if there is one.
    fn take(&self, key: K, now: Instant) -> Result<(), TooManyRequests> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = full_at.get(&key).copied();
        self.admits(entry, now)?;
        if entry.is_none() && full_at.len() >= self.max_entries {
            full_at.retain(|_, full_at| *full_at > now);
            // Forgetting all is better than refusing strangers, and half a table of room pays for
            // the search.
            if full_at.len() > self.max_entries / 2 {
                full_at.clear();
            }
        }
        let from = entry.map_or(now, |full_at| full_at.max(now));
        full_at.insert(key, from + self.refill);
        Ok(())
    }

    fn admits(&self, full_at: Option<Instant>, now: Instant) -> Result<(), TooManyRequests> {
        let until_full = full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        match until_full.checked_sub(self.reach) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(TooManyRequests {
                retry_after_secs: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::settings::at_least_one;
    use super::*;

    fn buckets(refill_secs: u64, burst: u32, max_entries: usize) -> Buckets<u32> {
        Buckets::new(
            Duration::from_secs(refill_secs),
            at_least_one(burst),
            NonZeroUsize::new(max_entries).expect("not zero"),
        )
    }

    fn wait(secs: u64) -> Result<(), TooManyRequests> {
        Err(TooManyRequests {
            retry_after_secs: secs,
        })
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_refill() {
        let buckets = buckets(3, 4, 10);
        let start = Instant::now();
        for _ in 0..4 {
            assert_eq!(buckets.take(1, start), Ok(()));
        }
        assert_eq!(buckets.take(1, start), wait(3));
        assert_eq!(buckets.take(2, start), Ok(()), "another has its own");
        let later = |ms| start + Duration::from_millis(ms);
        assert_eq!(buckets.take(1, later(2_001)), wait(1), "rounded up");
        // What was refused cost nothing.
        assert_eq!(buckets.take(1, later(3_000)), Ok(()));
        assert_eq!(buckets.take(1, later(3_000)), wait(3));
        // A long rest gives the burst back, and no more.
        for _ in 0..4 {
            assert_eq!(buckets.take(1, later(3_600_000)), Ok(()));
        }
        assert_eq!(buckets.take(1, later(3_600_000)), wait(3));
    }

    #[test]
    fn looking_costs_nothing() {
        let buckets = buckets(3, 1, 10);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(buckets.check(1, now), Ok(()));
        }
        assert_eq!(buckets.take(1, now), Ok(()));
        assert_eq!(buckets.check(1, now), wait(3));
        assert_eq!(buckets.check(1, now + Duration::from_secs(3)), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_refilled_first() {
        let buckets = buckets(10, 1, 100);
        let start = Instant::now();
        for key in 0..100 {
            buckets.take(key, start).expect("its first");
        }
        // At the time of the 101st, the first hundred are full again.
        let later = start + Duration::from_secs(10);
        buckets.take(100, later).expect("its first");
        assert_eq!(buckets.full_at.lock().expect("no panic").len(), 1);
        assert_eq!(buckets.take(100, later), wait(10), "it is not forgotten");

        for key in 1_000..100_000 {
            buckets.take(key, later).expect("its first");
            assert!(buckets.full_at.lock().expect("no panic").len() <= 100);
        }
    }

    #[test]
    fn failures_count_by_ipv4_address_and_by_ipv6_network() {
        let throttle = FailureThrottle::new(&AuthFailureLimits {
            burst: at_least_one(1),
            ..AuthFailureLimits::default()
        });
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (first, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("::ffff:198.51.100.1", "198.51.100.1", "::ffff:198.51.100.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ] {
            assert_eq!(throttle.check(address(first)), Ok(()));
            assert_eq!(throttle.failed(address(first)), Ok(()));
            assert!(throttle.check(address(same)).is_err(), "{same}");
            assert!(throttle.failed(address(same)).is_err(), "{same}");
            assert_eq!(throttle.check(address(other)), Ok(()), "{other}");
        }
    }

    #[test]
    fn requests_are_limited_only_if_a_rate_is_set() {
        let key = ApiKeyId::make();
        let mut limits = RequestRateLimits {
            burst: at_least_one(2),
            ..RequestRateLimits::default()
        };
        let unlimited = RequestRate::new(&limits);
        assert!((0..1_000).all(|_| unlimited.count(key).is_ok()));

        limits.requests_per_second = NonZeroU32::new(1);
        let limited = RequestRate::new(&limits);
        assert_eq!(limited.count(key), Ok(()));
        assert_eq!(limited.count(key), Ok(()));
        assert_eq!(limited.count(key), wait(1));
        assert_eq!(limited.count(ApiKeyId::make()), Ok(()));
    }

    #[test]
    fn no_setting_overflows() {
        for burst in [NonZeroU32::MIN, NonZeroU32::MAX] {
            for rate in [NonZeroU32::MIN, NonZeroU32::MAX] {
                let throttle = FailureThrottle::new(&AuthFailureLimits {
                    burst,
                    per_minute: rate,
                    max_peers: NonZeroUsize::MIN,
                    ..AuthFailureLimits::default()
                });
                let peer = IpAddr::from([192, 0, 2, 1]);
                assert_eq!(throttle.failed(peer), Ok(()));
                let _ = throttle.failed(peer);
                let requests = RequestRate::new(&RequestRateLimits {
                    requests_per_second: Some(rate),
                    burst,
                    max_keys: NonZeroUsize::MIN,
                });
                assert_eq!(requests.count(ApiKeyId::make()), Ok(()));
            }
        }
    }
}
