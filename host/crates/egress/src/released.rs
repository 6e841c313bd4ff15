//! The secrets that were released to one tool instance: what its answers are
//! scrubbed of, and what its requests must not carry elsewhere. It releases
//! nothing and records no audit entry; that is done before a secret comes here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Origin;
use tavora_scrub::Scrubber;

/// The secrets released during one call, shared between who releases them, the
/// egress policy and the scrubber of answers.
#[derive(Default)]
pub struct ReleasedSecrets {
    state: Mutex<State>,
    /// Counts the secrets, to be read without the lock.
    revision: AtomicU64,
}

#[derive(Default)]
struct State {
    secrets: Vec<Released>,
    scrubber: Option<Arc<Scrubber>>,
    scrubber_of_names: Option<Arc<Scrubber>>,
}

struct Released {
    name: String,
    value: Zeroizing<String>,
    bound_to: Option<Vec<Origin>>,
}

impl ReleasedSecrets {
    /// With no secret in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret that is about to be released. `bound_to` are the only
    /// origins that it may be sent to; without it, every granted one.
    pub fn add(&self, name: &str, value: &str, bound_to: Option<&[Origin]>) {
        let mut state = self.state();
        let known = state.secrets.iter().any(|secret| {
            secret.name == name
                && secret.bound_to.as_deref() == bound_to
                && bool::from(secret.value.as_bytes().ct_eq(value.as_bytes()))
        });
        if known {
            return;
        }
        state.secrets.push(Released {
            name: name.to_owned(),
            value: Zeroizing::new(value.to_owned()),
            bound_to: bound_to.map(<[Origin]>::to_vec),
        });
        state.scrubber = None;
        state.scrubber_of_names = None;
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// A scrubber of all of them; the same one until another secret is added.
    pub fn scrubber(&self) -> Arc<Scrubber> {
        let mut state = self.state();
        let state = &mut *state;
        let pairs = pairs(&state.secrets);
        state
            .scrubber
            .get_or_insert_with(|| Arc::new(Scrubber::new(pairs)))
            .clone()
    }

    /// The same for names of hosts and headers, in which upper and lower case are one.
    pub fn scrubber_of_names(&self) -> Arc<Scrubber> {
        let mut state = self.state();
        let state = &mut *state;
        let pairs = pairs(&state.secrets);
        state
            .scrubber_of_names
            .get_or_insert_with(|| Arc::new(Scrubber::ignoring_case(pairs)))
            .clone()
    }

    /// Grows with each secret that is added.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Finds the secrets that must not go to `origin`; none when all may.
    pub(super) fn bound_elsewhere(&self, origin: &Origin) -> Option<Scrubber> {
        let state = self.state();
        let mut elsewhere = state
            .secrets
            .iter()
            .filter(|secret| {
                let bound_to = secret.bound_to.as_ref();
                bound_to.is_some_and(|origins| !origins.contains(origin))
            })
            .map(|secret| (secret.name.as_str(), secret.value.as_str()))
            .peekable();
        elsewhere.peek()?;
        Some(Scrubber::of_whole_values(elsewhere))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code that holds this lock can panic half-way through a change")
    }
}

fn pairs(secrets: &[Released]) -> impl Iterator<Item = (&str, &str)> {
    secrets.iter().map(|s| (s.name.as_str(), s.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scrubber_is_kept_until_a_secret_is_added() {
        let released = ReleasedSecrets::new();
        released.add("a", "value-of-a", None);
        let first = released.scrubber();
        released.add("a", "value-of-a", None);
        assert!(Arc::ptr_eq(&first, &released.scrubber()));
        assert_eq!(released.revision(), 1);
        released.add("a", "new-value-of-a", None);
        assert_eq!(released.revision(), 2);
        assert_eq!(
            released
                .scrubber()
                .scrub("value-of-a; new-value-of-a!")
                .text,
            "[redacted:a]; [redacted:a]!"
        );
    }

    #[test]
    fn a_bound_secret_is_found_only_where_it_may_not_go() {
        let home: Origin = "https://home.example".parse().expect("valid");
        let other: Origin = "https://home.example:444".parse().expect("valid");
        let released = ReleasedSecrets::new();
        released.add("free", "free-value", None);
        assert!(released.bound_elsewhere(&other).is_none());
        released.add("bound", "bound-value", Some(std::slice::from_ref(&home)));
        assert!(released.bound_elsewhere(&home).is_none());
        let elsewhere = released.bound_elsewhere(&other).expect("something to find");
        assert_eq!(elsewhere.contains(b"free-value bound-value"), Some("bound"));
        assert_eq!(elsewhere.contains(b"free-value"), None);
        released.add("nowhere", "nowhere-value", Some(&[]));
        assert!(released.bound_elsewhere(&home).is_some());
    }
}
