//! Origins that the value of a secret opens for one call, because the secret says where something
//! is. They are granted like the others and never shown: who knows one knows the secret.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Origin;

/// What the secrets of one call have opened to one tool instance. A clone is the same set.
#[derive(Clone, Default)]
pub struct OpenedOrigins(Arc<Mutex<BTreeSet<Origin>>>);

impl OpenedOrigins {
    /// Opens one more.
    pub fn open(&self, origin: Origin) {
        self.origins().insert(origin);
    }

    /// Closes all of them.
    pub fn close(&self) {
        self.origins().clear();
    }

    /// Whether it is open.
    pub(super) fn contains(&self, origin: &Origin) -> bool {
        self.origins().contains(origin)
    }

    fn origins(&self) -> MutexGuard<'_, BTreeSet<Origin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
