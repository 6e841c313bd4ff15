//! `[tools.NAME]` of the configuration, and a struct of all the sections that a platform needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use vault_core::SecretName;

use tavora_agents::{AgentRules, AgentsConfig, HttpRules};
use tavora_egress::{EgressConfig, Origin};
use tavora_openapi::HttpConfig;
use tavora_wasm::builtin;
use tavora_wasm::inspection::Digest;
use tavora_wasm::limits::Limits;
use tavora_wasm::tool::ToolName;
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
    /// What agents' files may name on this platform.
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
    /// The names of the secrets that it may resolve.
    #[schemars(with = "Vec<String>")]
    pub secrets: Vec<SecretName>,
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

impl ToolConfig {
    /// Resolves relative paths against the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        if let Some(file) = &mut self.component {
            *file = folder.join(&file);
        }
        if let Some(document) = self.http.as_mut().and_then(|http| http.openapi.as_mut()) {
            *document = folder.join(&document);
        }
    }
}
