//! `[tools.NAME]` of the configuration, and a struct of all the sections that a platform needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use vault_core::SecretName;

use super::CredentialView;
use tavora_agents::{AgentRules, AgentsConfig, HttpRules};
use tavora_egress::{EgressConfig, Origin};
use tavora_openapi::HttpConfig;
use tavora_trust::slot::Slot;
use tavora_wasm::builtin;
use tavora_wasm::inspection::Digest;
use tavora_wasm::limits::Limits;
use tavora_wasm::tool::ToolName;
use tavora_wasm::tool::secrets::USUAL_SLOTS;
use tavora_wasm::worker::WorkerConfig;

/// The sections of the configuration that a platform needs.
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

impl PlatformConfig<'_> {
    /// Returns the limits of what agents' files may name on this platform.
    pub fn agent_rules(&self) -> AgentRules {
        let operators = self.tools.iter();
        let mut operators = operators.filter(|(name, _)| name.as_str() == builtin::HTTP_API);
        let settings = operators.next().map(|(_, tool)| tool.config.clone());
        AgentRules::new(
            self.tools.keys(),
            self.egress.allow_private_origins.clone(),
            HttpRules {
                limits: self.limits.openapi.clone(),
                settings: settings.unwrap_or_default(),
            },
        )
    }
}

/// `[tools.NAME]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolConfig {
    /// The component's file, relative to `tavora.toml`. A built-in tool has none.
    pub component: Option<PathBuf>,
    /// `sha256:…` of the file; another file is refused.
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
    /// The names of the secrets that the tool may use. It gets a stand-in for each, and the host
    /// sends the value.
    #[schemars(with = "Vec<String>")]
    pub secrets: Vec<SecretName>,
    /// The names of the secrets whose values the tool gets to see, because it computes with them.
    #[schemars(with = "Vec<String>")]
    pub reveal: Vec<SecretName>,
    /// The slot of a secret, by the secret's name: the one place of a request in which it stands.
    /// Without an entry, a secret stands as `"bearer"` or `"basic"` in `Authorization`.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub credentials: BTreeMap<SecretName, CredentialConfig>,
    /// The origins that the tool may reach, in addition to those of `base_url` and `…_base_url` in
    /// `config`.
    pub origins: Vec<Origin>,
    /// The only origins that a secret may be sent to, by the secret's name.
    #[schemars(with = "BTreeMap<String, Vec<Origin>>")]
    pub bind: BTreeMap<SecretName, Vec<Origin>>,
    /// The settings that the component reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// An HTTP API in place of a component of one's own. The entry says what is granted.
    pub http: Option<HttpConfig>,
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
    /// Returns the secrets that are lent to the tool, as the configuration declares them.
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
        if let Some(document) = self.http.as_mut().and_then(|http| http.openapi.as_mut()) {
            *document = folder.join(&document);
        }
    }
}
