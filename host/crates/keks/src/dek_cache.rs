//! Caches DEKs that a provider unwrapped. The cache is limited in number and in time. A DEK is
//! cleared from memory when it leaves the cache.
//!
//! The time runs from the provider's answer and is not extended by use, so that a key that is taken
//! away stops working within that time. An entry matches only the same KEK, the same wrapped DEK
//! and the same associated data.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use vault_core::{Dek, KekId};

/// The key of an entry: a digest of the kek id, the wrapped DEK and the associated data.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DekKey([u8; 32]);

impl DekKey {
    pub(super) fn derive(kek_id: KekId, wrapped: &[u8], associated_data: &[u8]) -> Self {
        let digest = Sha256::new_with_prefix(b"tavora/dek-cache/v1\0")
            .chain_update(kek_id.as_bytes())
            .chain_update((wrapped.len() as u64).to_be_bytes())
            .chain_update(wrapped)
            .chain_update(associated_data)
            .finalize();
        Self(digest.into())
    }

    /// Maps the key to a number below `parts`.
    pub(super) fn part_of(&self, parts: usize) -> usize {
        usize::from(self.0[0]) % parts
    }
}

pub(super) struct DekCache {
    kept: Arc<Mutex<Kept>>,
    lifetime: Duration,
    max_deks: usize,
}

#[derive(Default)]
struct Kept {
    deks: HashMap<DekKey, Dek>,
    /// The expiry of each entry, the earliest first.
    ends: VecDeque<(Instant, DekKey)>,
    is_swept: bool,
}

impl DekCache {
    pub(super) fn new(lifetime: Duration, max_deks: usize) -> Self {
        Self {
            kept: Arc::default(),
            lifetime,
            max_deks,
        }
    }

    pub(super) fn find(&self, key: &DekKey) -> Option<Dek> {
        let mut kept = lock(&self.kept);
        kept.drop_ended(Instant::now());
        kept.deks.get(key).map(Dek::duplicate)
    }

    /// Adds a DEK, and drops the oldest if there are too many. Must be called within the
    /// asynchronous runtime, which clears expired entries.
    pub(super) fn insert(&self, key: DekKey, dek: &Dek) {
        if self.lifetime.is_zero() {
            return;
        }
        let mut kept = lock(&self.kept);
        kept.remove(&key);
        while kept.ends.len() >= self.max_deks {
            kept.drop_first();
        }
        kept.deks.insert(key, dek.duplicate());
        kept.ends.push_back((Instant::now() + self.lifetime, key));
        if !kept.is_swept {
            kept.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.kept)));
        }
    }

    pub(super) fn remove(&self, key: &DekKey) {
        lock(&self.kept).remove(key);
    }
}

impl Kept {
    fn remove(&mut self, key: &DekKey) {
        if self.deks.remove(key).is_some() {
            self.ends.retain(|(_, known)| known != key);
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, key)) = self.ends.pop_front() {
            self.deks.remove(&key);
        }
    }

    fn drop_ended(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.drop_first();
        }
    }
}

/// Drops each DEK when it expires, until the cache is empty or gone.
async fn sweep(kept: Weak<Mutex<Kept>>) {
    while let Some(kept) = kept.upgrade() {
        let next = {
            let mut kept = lock(&kept);
            kept.drop_ended(Instant::now());
            kept.is_swept = !kept.ends.is_empty();
            kept.ends.front().map(|(end, _)| *end)
        };
        drop(kept);
        match next {
            Some(end) => tokio::time::sleep_until(end.into()).await,
            None => return,
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> DekKey {
        DekKey::derive(KekId::from_bytes([number; 16]), b"wrapped", b"data")
    }

    #[tokio::test]
    async fn a_dek_is_found_under_its_own_key_until_its_time_is_over() {
        let cache = DekCache::new(Duration::from_secs(2), 10);
        let dek = Dek::make();
        cache.insert(key(1), &dek);
        let found = cache.find(&key(1)).expect("it was just kept");
        assert_eq!(found.expose(), dek.expose());
        assert!(cache.find(&key(2)).is_none());
        // Without further calls, entries still expire.
        while lock(&cache.kept).is_swept {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(lock(&cache.kept).deks.is_empty());
        cache.insert(key(1), &dek);
        assert!(lock(&cache.kept).is_swept, "the sweep begins anew");
    }

    #[tokio::test]
    async fn using_a_dek_does_not_prolong_its_time() {
        let cache = DekCache::new(Duration::from_millis(200), 10);
        cache.insert(key(1), &Dek::make());
        let started = Instant::now();
        while cache.find(&key(1)).is_some() {
            assert!(started.elapsed() < Duration::from_secs(120));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(started.elapsed() >= Duration::from_millis(190));
    }

    #[tokio::test]
    async fn the_oldest_goes_where_there_are_too_many() {
        let cache = DekCache::new(Duration::from_secs(60), 3);
        for number in [1, 2, 3, 1, 4] {
            cache.insert(key(number), &Dek::make());
        }
        let found: Vec<u8> = (1..=4)
            .filter(|it| cache.find(&key(*it)).is_some())
            .collect();
        assert_eq!(found, [1, 3, 4]);
        assert_eq!(lock(&cache.kept).ends.len(), 3);
        cache.remove(&key(3));
        assert!(cache.find(&key(3)).is_none());
        assert_eq!(lock(&cache.kept).ends.len(), 2);
    }

    #[tokio::test]
    async fn without_a_lifetime_nothing_is_kept() {
        let cache = DekCache::new(Duration::ZERO, 3);
        cache.insert(key(1), &Dek::make());
        assert!(cache.find(&key(1)).is_none());
    }

    #[test]
    fn every_part_of_a_key_counts() {
        let id = KekId::from_bytes([1; 16]);
        let keys = [
            DekKey::derive(id, b"ab", b"c"),
            DekKey::derive(id, b"a", b"bc"),
            DekKey::derive(id, b"ab", b"d"),
            DekKey::derive(KekId::from_bytes([2; 16]), b"ab", b"c"),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key));
        }
    }
}
