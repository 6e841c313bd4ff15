//! The secrets that were released to one tool instance: what its answers are
//! scrubbed of, and what its requests must not carry elsewhere. It releases
//! nothing and records no audit entry; that is done before a secret comes here.

use std::collections::{HashMap, VecDeque};
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

/// The last stand-ins that answers are scrubbed of; an older one says nothing to anybody.
const MAX_STAND_INS: usize = 16;

#[derive(Default)]
struct State {
    secrets: Vec<Released>,
    /// By the names of their secrets, the oldest first.
    stand_ins: VecDeque<(String, String)>,
    scrubber: Option<Arc<Scrubber>>,
    scrubber_of_names: Option<Arc<Scrubber>>,
    /// By the origin of an answer.
    of_lent: HashMap<Origin, LentScrubbers>,
}

struct Released {
    name: String,
    value: Zeroizing<String>,
    bound_to: Option<Vec<Origin>>,
    /// Whether tools use it and do not see it.
    is_lent: bool,
    /// The origins to which this run sent it, while it was lent.
    sent_to: Vec<Origin>,
}

/// What finds lent values in what an upstream answers.
#[derive(Clone)]
pub(super) struct LentScrubbers {
    pub(super) texts: Arc<Scrubber>,
    /// For names of headers, in which upper and lower case are one.
    pub(super) names: Arc<Scrubber>,
}

impl ReleasedSecrets {
    /// With no secret in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret that is about to be released. `bound_to` are the only
    /// origins that it may be sent to; without it, every granted one.
    pub fn add(&self, name: &str, value: &str, bound_to: Option<&[Origin]>) {
        self.put(name, value, bound_to, false);
    }

    /// Adds a secret that is about to be lent.
    pub fn add_lent(&self, name: &str, value: &str, bound_to: Option<&[Origin]>) {
        self.put(name, value, bound_to, true);
    }

    fn put(&self, name: &str, value: &str, bound_to: Option<&[Origin]>, is_lent: bool) {
        let mut state = self.state();
        let known = state.secrets.iter().any(|secret| {
            secret.name == name
                && secret.is_lent == is_lent
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
            is_lent,
            sent_to: Vec::new(),
        });
        state.scrubber = None;
        state.scrubber_of_names = None;
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Adds what a tool got in a secret's place. Answers are scrubbed of it too.
    pub fn add_stand_in(&self, name: &str, stand_in: &str) {
        let mut state = self.state();
        if state.stand_ins.len() == MAX_STAND_INS {
            state.stand_ins.pop_front();
        }
        let stand_in = (name.to_owned(), stand_in.to_owned());
        state.stand_ins.push_back(stand_in);
        state.scrubber = None;
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// A scrubber of all of them; the same one until another secret is added.
    pub fn scrubber(&self) -> Arc<Scrubber> {
        let mut state = self.state();
        let state = &mut *state;
        let pairs = pairs(&state.secrets);
        let stand_ins = state.stand_ins.iter();
        let stand_ins = stand_ins.map(|(name, stand_in)| (&**name, &**stand_in));
        state
            .scrubber
            .get_or_insert_with(|| Arc::new(Scrubber::with_whole(pairs, stand_ins)))
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

    /// Notes that lent secrets are about to be sent to an origin.
    pub(super) fn sent(&self, names: &[String], origin: &Origin) {
        if names.is_empty() {
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        for secret in &mut state.secrets {
            let is_new =
                secret.is_lent && names.contains(&secret.name) && !secret.sent_to.contains(origin);
            if is_new {
                secret.sent_to.push(origin.clone());
                state.of_lent.remove(origin);
                self.revision.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Finds the lent values that this run sent to an origin; `None` before there are any. Others
    /// are not looked for in its answers: a find would tell a tool, whose own upstream can guess,
    /// that a guess was right.
    pub(super) fn of_lent(&self, origin: &Origin) -> Option<LentScrubbers> {
        let mut state = self.state();
        let state = &mut *state;
        let is_its = |secret: &&Released| secret.sent_to.contains(origin);
        let mut lent = state.secrets.iter().filter(is_its);
        lent.clone().next()?;
        let pairs = lent
            .by_ref()
            .map(|it| (it.name.as_str(), it.value.as_str()));
        let pairs: Vec<(&str, &str)> = pairs.collect();
        let made = || LentScrubbers {
            texts: Arc::new(Scrubber::new(pairs.iter().copied())),
            names: Arc::new(Scrubber::ignoring_case(pairs.iter().copied())),
        };
        Some(
            state
                .of_lent
                .entry(origin.clone())
                .or_insert_with(made)
                .clone(),
        )
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
    fn what_is_lent_is_looked_for_where_it_can_come_back() {
        let released = ReleasedSecrets::new();
        let [home, elsewhere]: [Origin; 2] =
            ["https://home.example", "https://other.example"].map(|it| it.parse().expect("valid"));
        released.add_lent("a", "value-of-a", None);
        assert!(released.of_lent(&home).is_none());
        released.sent(&["a".to_owned()], &home);
        assert!(released.of_lent(&home).is_some());
        assert!(released.of_lent(&elsewhere).is_none());
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
