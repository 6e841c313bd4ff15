//! How a platform comes by its tools: the built-in ones and those that the operator lists, each
//! with its grants.
//!
//! It calls none of them; that is the dispatch's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CredentialConfig, Platform, StartError, ToolConfig, credentials};
use vault_core::SecretName;

use crate::trail::Trail;
use tavora_egress::{Origin, ReleasedSecrets};
use tavora_telemetry::Metrics;
use tavora_trust::component_file;
use tavora_wasm::LoadError;
pub use tavora_wasm::bindings::TrustedToolPre;
use tavora_wasm::builtin::{self, BuiltinTool, Upstream};
use tavora_wasm::inspection::{Digest, Inspection};
use tavora_wasm::tool::{GrantedBy, ToolBinding, ToolComponent, ToolGrants, ToolName, ToolState};

/// What `tavora.toml` says of tools.
type Listed = BTreeMap<ToolName, ToolConfig>;

impl Platform {
    /// Loads every tool, built-in ones first.
    pub(super) async fn load_tools(&mut self, listed: &Listed) -> Result<(), StartError> {
        for builtin in builtin::TOOLS {
            match builtin::component(builtin.name) {
                Ok(bytes) => self.load_builtin(builtin, bytes, listed).await?,
                Err(missing) => tracing::warn!("{missing}"),
            }
        }
        match builtin::component(builtin::MCP_CLIENT) {
            Ok(bytes) => self.load_mcp_client(bytes, listed).await?,
            Err(missing) => tracing::warn!("{missing}"),
        }
        for (name, tool) in listed {
            let is_builtin = |builtin: &BuiltinTool| builtin.name == name.as_str();
            let is_client = name.as_str() == builtin::MCP_CLIENT;
            if !is_client && !builtin::TOOLS.iter().any(is_builtin) {
                let tool = self.load_listed(name, tool).await?;
                self.tools.insert(Arc::clone(&tool.name), tool);
            }
        }
        Ok(())
    }

    /// Loads the client of MCP servers, which no run may call as it is: agents' files name servers,
    /// and each of those is a tool of its own.
    async fn load_mcp_client(&mut self, bytes: &[u8], all: &Listed) -> Result<(), StartError> {
        let name = builtin::MCP_CLIENT;
        let listed = listed(all, name);
        if listed.component.is_some() {
            return Err(StartError::BuiltinName(name.to_owned()));
        }
        let has_secrets = !(listed.secrets.is_empty()
            && listed.reveal.is_empty()
            && listed.credentials.is_empty());
        if has_secrets || !(listed.origins.is_empty() && listed.bind.is_empty()) {
            return Err(StartError::ClientGrants);
        }
        let by = GrantedBy::AgentFile;
        self.mcp_client = Some(self.load(name, bytes, &listed, Vec::new(), by).await?);
        Ok(())
    }

    async fn load_builtin(
        &mut self,
        builtin: &BuiltinTool,
        bytes: &[u8],
        all: &Listed,
    ) -> Result<(), StartError> {
        let listed = listed(all, builtin.name);
        if listed.component.is_some() {
            return Err(StartError::BuiltinName(builtin.name.to_owned()));
        }
        let mut tool = listed;
        let opens: Vec<SecretName> = builtin.opens.iter().map(|name| secret(name)).collect();
        let mut secrets = Vec::new();
        for upstream in builtin.upstreams {
            let origin = origin(builtin.name, upstream, &tool)?;
            let name = secret(upstream.secret);
            secrets.push(name.clone());
            if !tool.origins.contains(&origin) {
                tool.origins.push(origin.clone());
            }
            // The operator's own word about the secret stands.
            if !tool.reveal.contains(&name) {
                let slot = upstream.slot.slot();
                let usual = CredentialConfig {
                    slot,
                    origins: None,
                };
                tool.credentials.entry(name.clone()).or_insert(usual);
            }
            tool.bind.entry(name).or_insert_with(|| vec![origin]);
        }
        tool.secrets = [secrets, opens.clone(), tool.secrets].concat();
        let tool = self
            .load(builtin.name, bytes, &tool, opens, GrantedBy::Manifest)
            .await?;
        self.tools.insert(Arc::clone(&tool.name), tool);
        Ok(())
    }

    async fn load_listed(
        &self,
        name: &ToolName,
        tool: &ToolConfig,
    ) -> Result<Arc<ToolComponent>, StartError> {
        let path = tool
            .component
            .as_ref()
            .ok_or_else(|| StartError::NoComponent(name.as_str().to_owned()))?;
        let max_bytes = self.limits.component.max_bytes;
        let bytes = component_file::read_listed(path, max_bytes).map_err(|source| {
            StartError::Unreadable {
                tool: name.as_str().to_owned(),
                // The whole path says in which folder it was looked for.
                path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
                source,
            }
        })?;
        let by = GrantedBy::Manifest;
        let name = name.as_str();
        let runtime = &self.runtime;
        let loaded = runtime
            .load_listed_tool(name.to_owned(), bytes, tool.digest)
            .await;
        self.open(name, loaded, tool, Vec::new(), by).await
    }

    /// Loads what is part of this program.
    async fn load(
        &self,
        name: &str,
        bytes: &[u8],
        tool: &ToolConfig,
        opens: Vec<SecretName>,
        by: GrantedBy,
    ) -> Result<Arc<ToolComponent>, StartError> {
        let loaded = self.runtime.load_own_tool(name, bytes, tool.digest);
        self.open(name, loaded, tool, opens, by).await
    }

    /// Asks what was loaded for its operations, and grants it what it may have.
    async fn open(
        &self,
        name: &str,
        loaded: Result<(Inspection, TrustedToolPre<ToolState>), LoadError>,
        tool: &ToolConfig,
        opens: Vec<SecretName>,
        by: GrantedBy,
    ) -> Result<Arc<ToolComponent>, StartError> {
        let (inspection, pre) = loaded.map_err(|source| StartError::Load {
            tool: name.to_owned(),
            source,
        })?;
        let mut origins = tool.origins.clone();
        for origin in configured_origins(name, tool)? {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        let grants = ToolGrants {
            by,
            secrets: credentials::grants(name, tool, &origins, opens)?,
            origins: origins.into(),
            config: tool.config.clone().into_iter().collect(),
        };
        let name: Arc<str> = Arc::from(name);
        let for_nothing = self.for_nothing(&name, inspection.digest);
        let loaded = ToolComponent::load(
            Arc::clone(&name),
            inspection,
            grants,
            pre,
            Arc::clone(&self.limits),
            for_nothing,
        )
        .await
        .map_err(|failure| StartError::Describe {
            tool: name.to_string(),
            reason: failure.to_string(),
        })?;
        Ok(Arc::new(loaded))
    }

    /// What a tool is asked for its operations in.
    fn for_nothing(&self, tool: &str, digest: Digest) -> ToolBinding {
        let released: Arc<ReleasedSecrets> = Arc::default();
        let trail = Trail::new(
            self.vaults.clone(),
            Arc::clone(&released),
            self.limits.tool.max_recorded_denials,
            Metrics::new(),
        );
        let (vaults, trail) = (self.vaults.clone(), Arc::new(trail));
        ToolBinding::to_nothing(tool, digest, vaults, released, trail, &self.egress)
    }
}

fn secret(name: &str) -> SecretName {
    name.parse()
        .expect("a built-in tool's secrets have valid names")
}

/// Where an upstream of a built-in tool is, by the tool's configuration or by itself.
fn origin(tool: &str, upstream: &Upstream, config: &ToolConfig) -> Result<Origin, StartError> {
    match config.config.get(upstream.base_url_key) {
        Some(url) => origin_of(tool, upstream.base_url_key, url),
        None => Ok(upstream
            .origin
            .parse()
            .expect("a built-in tool's origins are valid")),
    }
}

fn origin_of(tool: &str, key: &str, url: &str) -> Result<Origin, StartError> {
    Origin::of_url(url).map_err(|error| StartError::BaseUrl {
        tool: tool.to_owned(),
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

/// What `tavora.toml` says of a built-in tool.
fn listed(all: &Listed, name: &str) -> ToolConfig {
    let mut listed = all.iter();
    let found = listed.find(|(listed, _)| listed.as_str() == name);
    found.map(|(_, tool)| tool.clone()).unwrap_or_default()
}

/// The origins of `base_url` and `…_base_url` in a tool's configuration.
fn configured_origins(name: &str, tool: &ToolConfig) -> Result<Vec<Origin>, StartError> {
    tool.config
        .iter()
        .filter(|(key, _)| *key == "base_url" || key.ends_with("_base_url"))
        .map(|(key, url)| origin_of(name, key, url))
        .collect()
}
