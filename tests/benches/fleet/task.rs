//! What a host is told to measure, and where.

use serde::{Deserialize, Serialize};
use vault_core::{AppId, VaultId};

/// What is measured.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Work {
    /// First releases of a call.
    Release,
    /// Secrets are stored.
    Put,
}

/// What a host is told.
#[derive(Serialize, Deserialize)]
pub struct Task {
    pub url: String,
    pub name: String,
    pub kek: String,
    pub place: Place,
    pub work: Work,
    pub at_once: usize,
}

/// Where in a database it is measured: an app and its vault. Whoever gets it, as a host does, needs the KEK too.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Place {
    pub app: AppId,
    pub vault: VaultId,
}
