//! `[worker]` of the configuration.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

/// `[worker]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// The program that is started as worker, to inspect and compile what others supply. It is a
    /// `tavora-host` of the same version, or another program that calls
    /// `tavora_host::runtime::worker::run_if_asked`, relative to `tavora.toml`. Without it, the
    /// host starts its own program; the key is for programs that embed the host.
    #[schemars(example = &"/usr/local/bin/tavora-host")]
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
