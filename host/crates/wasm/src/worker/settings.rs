//! `[worker]` of the configuration.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[worker]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// The program to start as a worker, relative to this file. By default it is the host's own. It
    /// must be a `tavora-host`, or another program that calls
    /// [`run_if_asked`](super::run_if_asked), of the host's version.
    pub program: Option<PathBuf>,
}

impl WorkerConfig {
    /// Resolves relative paths against the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        if let Some(file) = &mut self.program {
            *file = folder.join(&file);
        }
    }
}
