//! `[tools.NAME]` of the configuration, and all the sections that a platform is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vault_core::SecretName;

use super::CredentialView;
use tavora_agents::AgentsConfig;
use tavora_egress::{EgressConfig, Origin};
use tavora_trust::slot::Slot;
use tavora_wasm::inspection::Digest;
use tavora_wasm::limits::Limits;
use tavora_wasm::tool::ToolName;
use tavora_wasm::tool::secrets::USUAL_SLOTS;
use tavora_wasm::worker::WorkerConfig;

/// The sections of the configuration that a platform is made of.
#[derive(Clone, Copy)]
pub struct PlatformConfig<'a> {
    /// `[agents]`
    pub agents: &'a AgentsConfig,
    /// `[egress]`
    pub egress: &'a EgressConfig,
    /// `[limits]`
    pub limits: &'a Limits,
    /// `[worker]`
    pub worker: &'a WorkerConfig,
    /// `[tools]`
    pub tools: &'a BTreeMap<ToolName, ToolConfig>,
}

/// `[tools.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolConfig {
    /// The component's file, relative to `tavora.toml`. Absent for a built-in tool.
    pub component: Option<PathBuf>,
    /// `sha256:…` of the file; another one is refused.
    pub digest: Option<Digest>,
    /// The secrets that it may use. It gets a stand-in for each, and the host sends the value.
    pub secrets: Vec<SecretName>,
    /// The secrets whose values it gets to see, because it computes with them.
    pub reveal: Vec<SecretName>,
    /// Where a secret stands in a request; without an entry, as `bearer` or `basic`.
    pub credentials: BTreeMap<SecretName, CredentialConfig>,
    /// The origins that it may reach. Those of `base_url` and `…_base_url` in `config` join them.
    pub origins: Vec<Origin>,
    /// Secrets that may be sent to these of its origins only.
    pub bind: BTreeMap<SecretName, Vec<Origin>>,
    /// What the component reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
}

/// `[tools.NAME.credentials.SECRET]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialConfig {
    /// The one place of a request in which it may stand.
    pub slot: Slot,
    /// The only origins that it may be sent to; without it, every origin of the tool.
    pub origins: Option<Vec<Origin>>,
}

impl ToolConfig {
    /// The secrets that the tool uses and does not see, as the configuration has them.
    pub fn lent(&self) -> Vec<CredentialView> {
        let lent = self
            .secrets
            .iter()
            .filter(|name| !self.reveal.contains(name));
        let slots = |name: &SecretName| match self.credentials.get(name) {
            Some(credential) => vec![credential.slot.clone()],
            None => USUAL_SLOTS.to_vec(),
        };
        let view = |name: &SecretName| CredentialView {
            secret: name.to_string(),
            slots: slots(name),
        };
        lent.map(view).collect()
    }

    /// Resolves relative paths from the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        if let Some(file) = &mut self.component {
            *file = folder.join(&file);
        }
    }
}
