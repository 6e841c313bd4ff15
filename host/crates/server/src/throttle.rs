//! Limits how often one peer may fail to sign in, and how often one API key may send requests.
//!
//! Both limits are leaky buckets (the generic cell rate algorithm) in memory. A restart forgets
//! them, and so does a table that is full. That is enough, because credentials have 256 random
//! bits: the throttle makes guessing expensive, but the randomness makes it hopeless. The HTTP form
//! of a refusal is not defined here.

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

/// The limit is reached: 429 `too_many_requests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {retry_after_secs} s")]
pub struct TooManyRequests {
    /// The value of `Retry-After`: whole seconds, 1 or more.
    pub retry_after_secs: u64,
}

/// Counts failed authentications by the peer's address.
///
/// [`check`](Self::check) runs before the operator's token is examined: a peer over its limit is
/// refused unheard.
///
/// An API key is examined first, and only a wrong one counts against its peer. A valid key passes
/// whatever others did from the same address, so that one bad client behind a shared proxy locks
/// nobody out. This does not help an attacker: each guess counts, and a wrong key beyond the limit
/// gets the same answer as every other request.
pub struct FailureThrottle {
    failures: Buckets<Peer>,
}

impl FailureThrottle {
    /// Returns a throttle with nothing counted.
    pub fn new(limits: &AuthFailureLimits) -> Self {
        let refill = Duration::from_secs(60) / limits.per_minute.get();
        Self {
            failures: Buckets::new(refill, limits.burst, limits.max_peers),
        }
    }

    /// Checks whether credentials of this peer may be examined. Counts nothing.
    pub fn check(&self, peer: IpAddr) -> Result<(), TooManyRequests> {
        self.failures.check(Peer::from(peer), Instant::now())
    }

    /// Counts a failure. An error means that the limit was reached before this failure: answer with
    /// the error, and do not say what was wrong.
    pub fn failed(&self, peer: IpAddr) -> Result<(), TooManyRequests> {
        self.failures.take(Peer::from(peer), Instant::now())
    }
}

/// Counts requests by API key, if the operator set a rate.
pub struct RequestRate {
    requests: Option<Buckets<ApiKeyId>>,
}

impl RequestRate {
    /// Returns a limiter with nothing counted.
    pub fn new(limits: &RequestRateLimits) -> Self {
        let requests = limits.requests_per_second.map(|per_second| {
            let refill = Duration::from_secs(1) / per_second.get();
            Buckets::new(refill, limits.burst, limits.max_keys)
        });
        Self { requests }
    }

    /// Counts a request of this key. The key must be valid: invalid keys would fill the table.
    pub fn count(&self, key: ApiKeyId) -> Result<(), TooManyRequests> {
        match &self.requests {
            Some(requests) => requests.take(key, Instant::now()),
            None => Ok(()),
        }
    }
}

/// One bucket per key, stored as the time at which it is full again. A bucket that is full needs no
/// entry.
struct Buckets<K> {
    /// The time after which one token comes back.
    refill: Duration,
    /// A bucket has a token if it is full again within this time.
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

    /// Checks whether there is a token.
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
            // Forgetting all keys is better than refusing new ones. Keeping half of the table free
            // makes up for the cost of this search.
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
        // Refused requests took no token.
        assert_eq!(buckets.take(1, later(3_000)), Ok(()));
        assert_eq!(buckets.take(1, later(3_000)), wait(3));
        // A long pause restores the burst, and no more.
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
        // When the 101st key comes, the first hundred buckets are full again.
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
