//! `[agents]` of the configuration.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

/// `[agents]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentsConfig {
    /// The folder that holds a folder for each agent, with its `agent.jsonc`. It is relative to
    /// `tavora.toml`. Without it there are no agents.
    #[schemars(example = &"agents")]
    pub dir: Option<PathBuf>,
    /// Agents that the folder may hold.
    pub max_agents: NonZeroUsize,
    /// The most bytes in an `agent.jsonc`.
    pub max_file_bytes: NonZeroU64,
}

impl AgentsConfig {
    /// Resolves relative paths against the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        if let Some(file) = &mut self.dir {
            *file = folder.join(&file);
        }
    }
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self {
            dir: None,
            max_agents: NonZeroUsize::new(1_000).expect("it is above zero"),
            max_file_bytes: NonZeroU64::new(65_536).expect("it is above zero"),
        }
    }
}
