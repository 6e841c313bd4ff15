//! The task of a host: what to measure, and where.

use serde::{Deserialize, Serialize};
use vault_core::{AppId, VaultId};

/// The work that is measured.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Work {
    /// Releases of secrets, each in a new call.
    Release,
    /// Puts of secrets.
    Put,
}

/// The task that a host gets on stdin.
#[derive(Serialize, Deserialize)]
pub struct Task {
    pub url: String,
    pub name: String,
    pub kek: String,
    pub place: Place,
    pub work: Work,
    pub at_once: usize,
}

/// The place of a measurement in a database: an app and its vault. A host that gets it needs the
/// KEK too.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Place {
    pub app: AppId,
    pub vault: VaultId,
}
