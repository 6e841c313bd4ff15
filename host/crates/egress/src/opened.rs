//! Origins that the value of a secret grants for one call, for secrets that are URLs. They are
//! granted like the others and never shown: such an origin reveals a part of the secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Origin;

/// The origins that secrets opened to one tool instance in one call. Clones share the set.
#[derive(Clone, Default)]
pub struct OpenedOrigins(Arc<Mutex<Origins>>);

#[derive(Default)]
struct Origins {
    opened: BTreeSet<Origin>,
    /// The origins that stay closed because the secret that names them is bound to others. The
    /// value is the secret's name.
    withheld: BTreeMap<Origin, String>,
}

impl OpenedOrigins {
    /// Adds an origin.
    pub fn open(&self, origin: Origin) {
        self.origins().opened.insert(origin);
    }

    /// Withholds an origin that this secret names and that the secret may not be sent to.
    pub fn withhold(&self, origin: Origin, secret: &str) {
        self.origins().withheld.insert(origin, secret.to_owned());
    }

    /// Removes all origins.
    pub fn close(&self) {
        *self.origins() = Origins::default();
    }

    /// Whether the origin is open.
    pub(super) fn contains(&self, origin: &Origin) -> bool {
        self.origins().opened.contains(origin)
    }

    /// Returns the secret that names the origin and is bound to others.
    pub(super) fn withheld_by(&self, origin: &Origin) -> Option<String> {
        self.origins().withheld.get(origin).cloned()
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
