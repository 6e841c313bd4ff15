//! The stand-ins of one tool instance, and the secret behind each of them.
//!
//! A stand-in is worthless by itself: only this instance can use it, and only in one call. The
//! module `slots` finds stand-ins in a request and writes the credentials.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize as _, Zeroizing};

use super::Origin;
use tavora_scrub::Scrubber;
use tavora_trust::slot::Slot;

/// The beginning of every stand-in.
pub(super) const PREFIX: &str = "tvs_";
/// The random part of a stand-in, in bytes.
const RANDOM_BYTES: usize = 32;
/// The length of a stand-in, in characters: the prefix and 43 characters of base64url.
pub const STAND_IN_CHARS: usize = PREFIX.len() + (RANDOM_BYTES * 8).div_ceil(6);
/// Limits the stand-ins of earlier calls that are remembered, to tell them from made-up ones.
const MAX_PAST: usize = 16;

/// A secret that an instance may use but not see.
pub struct Lending<'s> {
    /// The name of the secret.
    pub name: &'s str,
    /// The stored value.
    pub value: &'s str,
    /// The only origins that the secret may go to. `None` means every granted origin.
    pub bound_to: Option<Vec<Origin>>,
}

/// The secret behind a stand-in.
pub(super) struct Lent {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
    pub(super) bound_to: Option<Vec<Origin>>,
    pub(super) slots: Arc<[Slot]>,
}

impl Lent {
    /// Whether the secret may go to this origin.
    pub(super) fn may_go_to(&self, origin: &Origin) -> bool {
        let bound_to = self.bound_to.as_ref();
        bound_to.is_none_or(|origins| origins.contains(origin))
    }
}

/// The source of a text that has the form of a stand-in.
pub(super) enum Known {
    /// The stand-in was made for this call.
    Current(Arc<Lent>),
    /// The stand-in was made for an earlier call and stood for the secret of this name.
    Past(String),
    /// The stand-in was made up, or made for another instance.
    Unknown,
}

/// The stand-ins of one instance. A clone is the same set.
#[derive(Clone, Default)]
pub struct StandIns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Counts the secrets that were lent. It can be read without the lock.
    revision: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The slots of each secret that may be lent.
    slots: HashMap<String, Arc<[Slot]>>,
    current: HashMap<String, Arc<Lent>>,
    /// The names and stand-ins of earlier calls, the oldest first.
    past: VecDeque<(String, String)>,
    of_stand_ins: Option<Arc<Scrubber>>,
}

impl StandIns {
    /// Allows a secret to be lent, into these slots and no others.
    pub fn declare(&self, name: &str, slots: Arc<[Slot]>) {
        self.state().slots.insert(name.to_owned(), slots);
    }

    /// Returns the stand-in that this call already has for a secret.
    pub fn of_this_call(&self, name: &str) -> Option<String> {
        let state = self.state();
        let mut current = state.current.iter();
        current
            .find(|(_, lent)| lent.name == name)
            .map(|(stand_in, _)| stand_in.clone())
    }

    /// Makes a stand-in for this call.
    ///
    /// # Errors
    /// Fails if the operating system gives no random bytes.
    pub fn lend(&self, lending: Lending<'_>) -> Result<String, getrandom::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        let mut stand_in = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(random, &mut stand_in);
        random.zeroize();

        let mut state = self.state();
        let Lending {
            name,
            value,
            bound_to,
        } = lending;
        let lent = Lent {
            name: name.to_owned(),
            value: Zeroizing::new(value.to_owned()),
            bound_to,
            slots: state.slots.get(name).cloned().unwrap_or_default(),
        };
        state.current.insert(stand_in.clone(), Arc::new(lent));
        state.of_stand_ins = None;
        self.0.revision.fetch_add(1, Ordering::Release);
        Ok(stand_in)
    }

    /// Ends the stand-ins of the last call.
    pub fn start_call(&self) {
        let mut state = self.state();
        let ended = std::mem::take(&mut state.current);
        for (stand_in, lent) in ended {
            if state.past.len() == MAX_PAST {
                state.past.pop_front();
            }
            state.past.push_back((lent.name.clone(), stand_in));
        }
    }

    /// Whether the instance has secrets that can be lent.
    pub(super) fn can_lend(&self) -> bool {
        !self.state().slots.is_empty()
    }

    /// Returns a number that grows with each secret that is lent.
    pub(super) fn revision(&self) -> u64 {
        self.0.revision.load(Ordering::Acquire)
    }

    /// Finds out where a text that has the form of a stand-in comes from.
    pub(super) fn known(&self, text: &str) -> Known {
        let state = self.state();
        if let Some(lent) = state.current.get(text) {
            return Known::Current(Arc::clone(lent));
        }
        let mut past = state.past.iter();
        match past.find(|(_, stand_in)| stand_in == text) {
            Some((name, _)) => Known::Past(name.clone()),
            None => Known::Unknown,
        }
    }

    /// Returns every slot of every secret that may be lent.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let state = self.state();
        let slots = state.slots.values().flat_map(|slots| slots.iter());
        slots.cloned().collect()
    }

    /// Returns the name of the secret whose stand-in is in the name of a header. Header names have
    /// no capitals, so case is ignored.
    pub(super) fn in_name(&self, header: &str) -> Option<String> {
        let state = self.state();
        let current = state.current.iter().map(|(it, lent)| (&lent.name, it));
        let past = state.past.iter().map(|(name, it)| (name, it));
        let mut all = current.chain(past);
        let found = all.find(|(_, it)| header.contains(&it.to_ascii_lowercase()));
        found.map(|(name, _)| name.clone())
    }

    /// Returns a scrubber that finds the stand-ins of this call and of earlier ones, in any
    /// spelling.
    pub(super) fn of_stand_ins(&self) -> Option<Arc<Scrubber>> {
        let mut state = self.state();
        let state = &mut *state;
        if state.current.is_empty() && state.past.is_empty() {
            return None;
        }
        let current = state.current.iter();
        let current = current.map(|(stand_in, lent)| (lent.name.as_str(), stand_in.as_str()));
        let past = state.past.iter();
        let past = past.map(|(name, stand_in)| (name.as_str(), stand_in.as_str()));
        let made = || Arc::new(Scrubber::of_whole_values(current.chain(past)));
        Some(state.of_stand_ins.get_or_insert_with(made).clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text has the form of a stand-in.
pub(super) fn has_form(text: &[u8]) -> bool {
    text.len() == STAND_IN_CHARS
        && text.starts_with(PREFIX.as_bytes())
        && text[PREFIX.len()..]
            .iter()
            .all(|&byte| is_of_base64url(byte))
}

/// Counts the texts in `text` that have the form of a stand-in and do not overlap.
pub(super) fn count_in(text: &[u8]) -> usize {
    let (mut at, mut count) = (0_usize, 0);
    while let Some(end) = at
        .checked_add(STAND_IN_CHARS)
        .filter(|&end| end <= text.len())
    {
        match has_form(&text[at..end]) {
            true => (at, count) = (end, count + 1),
            false => at += 1,
        }
    }
    count
}

fn is_of_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lending<'s>(name: &'s str, value: &'s str) -> Lending<'s> {
        Lending {
            name,
            value,
            bound_to: None,
        }
    }

    #[test]
    fn a_stand_in_is_random_and_of_one_form_and_lives_for_one_call() {
        let stand_ins = StandIns::default();
        stand_ins.declare("key", Arc::from([Slot::Bearer]));
        let first = stand_ins.lend(lending("key", "canary")).expect("random");
        assert_eq!(first.len(), 47);
        assert!(has_form(first.as_bytes()), "{first}");
        assert_eq!(stand_ins.of_this_call("key").as_ref(), Some(&first));
        assert!(matches!(stand_ins.known(&first), Known::Current(lent) if *lent.value == "canary"));
        stand_ins.start_call();
        assert_eq!(stand_ins.of_this_call("key"), None);
        assert!(matches!(stand_ins.known(&first), Known::Past(name) if name == "key"));
        let second = stand_ins.lend(lending("key", "canary")).expect("random");
        assert_ne!(first, second);
        let others = StandIns::default();
        assert!(matches!(others.known(&second), Known::Unknown));
        for _ in 0..=MAX_PAST {
            stand_ins.start_call();
            stand_ins.lend(lending("key", "canary")).expect("random");
        }
        assert!(matches!(stand_ins.known(&first), Known::Unknown));
    }

    #[test]
    fn texts_of_the_form_are_counted_and_others_are_not() {
        let one = format!("tvs_{}", "A-_z".repeat(11).split_at(43).0);
        assert_eq!(count_in(one.as_bytes()), 1);
        assert_eq!(count_in(format!("a {one}, {one}{one}").as_bytes()), 3);
        assert_eq!(count_in(&one.as_bytes()[..46]), 0);
        assert_eq!(count_in(one.replace("tvs_", "tvs-").as_bytes()), 0);
        assert!(!has_form(format!("{one}x").as_bytes()));
    }
}
