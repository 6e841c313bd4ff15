//! Origins that the value of a secret opens for one call, because the secret says where something
//! is. They are granted like the others and never shown: who knows one knows the secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Origin;

/// What the secrets of one call have opened to one tool instance. A clone is the same set.
#[derive(Clone, Default)]
pub struct OpenedOrigins(Arc<Mutex<Origins>>);

#[derive(Default)]
struct Origins {
    opened: BTreeSet<Origin>,
    /// Those that stay closed because the secret that names them is bound to others, with its name.
    withheld: BTreeMap<Origin, String>,
}

impl OpenedOrigins {
    /// Opens one more.
    pub fn open(&self, origin: Origin) {
        self.origins().opened.insert(origin);
    }

    /// Keeps one closed that this secret names and may not be sent to.
    pub fn withhold(&self, origin: Origin, secret: &str) {
        self.origins().withheld.insert(origin, secret.to_owned());
    }

    /// Closes all of them, and forgets why others were closed.
    pub fn close(&self) {
        *self.origins() = Origins::default();
    }

    /// Whether it is open.
    pub(super) fn contains(&self, origin: &Origin) -> bool {
        self.origins().opened.contains(origin)
    }

    /// The secret that names the origin and is bound to others.
    pub(super) fn withheld_by(&self, origin: &Origin) -> Option<String> {
        self.origins().withheld.get(origin).cloned()
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
