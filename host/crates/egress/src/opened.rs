//! Origins that the value of a secret grants for one call, for secrets that are URLs. They are
//! granted like the others and never shown: such an origin reveals a part of the secret.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Origin;

/// The origins that secrets opened to one tool instance in one call. Clones share the set.
#[derive(Clone, Default)]
pub struct OpenedOrigins(Arc<Mutex<BTreeSet<Origin>>>);

impl OpenedOrigins {
    /// Adds an origin.
    pub fn open(&self, origin: Origin) {
        self.origins().insert(origin);
    }

    /// Removes all origins.
    pub fn close(&self) {
        self.origins().clear();
    }

    /// Whether the origin is open.
    pub(super) fn contains(&self, origin: &Origin) -> bool {
        self.origins().contains(origin)
    }

    fn origins(&self) -> MutexGuard<'_, BTreeSet<Origin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
