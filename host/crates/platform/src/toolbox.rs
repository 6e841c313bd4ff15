//! Loads a platform's tools, the built-in ones and those that the operator lists, each with its
//! grants.
//!
//! No operation is called here. `dispatch` calls them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CredentialConfig, Platform, StartError, ToolConfig, credentials};
use vault_core::SecretName;

use crate::trail::Trail;
use tavora_egress::{Origin, ReleasedSecrets};
use tavora_openapi::{HttpApi, HttpConfig};
use tavora_telemetry::Metrics;
use tavora_trust::component_file;
use tavora_wasm::LoadError;
pub use tavora_wasm::bindings::TrustedToolPre;
use tavora_wasm::builtin::{self, BuiltinTool, MissingGuest, Upstream};
use tavora_wasm::inspection::{Digest, Inspection};
use tavora_wasm::tool::secrets::SecretGrants;
use tavora_wasm::tool::{GrantedBy, ToolBinding, ToolComponent, ToolGrants, ToolName, ToolState};

/// The entries of `[tools]` in `tavora.toml`.
type Listed = BTreeMap<ToolName, ToolConfig>;

impl Platform {
    /// Loads every tool, built-in tools first.
    pub(super) async fn load_tools(&mut self, listed: &Listed) -> Result<(), StartError> {
        for builtin in builtin::TOOLS.iter() {
            match builtin::component(builtin.name) {
                Ok(bytes) => self.load_builtin(builtin, bytes, listed).await?,
                Err(missing) => tracing::warn!("{missing}"),
            }
        }
        match builtin::component(builtin::MCP_CLIENT) {
            Ok(bytes) => {
                let client = self.load_client(builtin::MCP_CLIENT, bytes, listed, true);
                self.mcp_client = Some(client.await?);
            }
            Err(missing) => tracing::warn!("{missing}"),
        }
        match builtin::component(builtin::HTTP_API) {
            Ok(bytes) => {
                let component = self.load_client(builtin::HTTP_API, bytes, listed, false);
                self.http_api = Some(component.await?);
            }
            Err(missing) => tracing::warn!("{missing}"),
        }
        for (name, tool) in listed {
            let is_builtin = |builtin: &BuiltinTool| builtin.name == name.as_str();
            let is_client = [builtin::MCP_CLIENT, builtin::HTTP_API].contains(&name.as_str());
            if !is_client && !builtin::TOOLS.iter().any(is_builtin) {
                let tool = match &tool.http {
                    Some(http) => self.load_api(name, tool, http)?,
                    None => self.load_listed(name, tool).await?,
                };
                self.tools.insert(Arc::clone(&tool.name), tool);
            }
        }
        Ok(())
    }

    /// Loads a component that no run may call directly: the client of MCP servers, or the component
    /// of HTTP APIs. Each server or API that a file names becomes a tool of its own.
    async fn load_client(
        &self,
        name: &'static str,
        bytes: &[u8],
        all: &Listed,
        keeps_session: bool,
    ) -> Result<Arc<ToolComponent>, StartError> {
        let listed = listed(all, name);
        if listed.component.is_some() || listed.http.is_some() {
            return Err(StartError::BuiltinName(name.to_owned()));
        }
        if !grants_nothing(&listed) {
            return Err(StartError::ClientGrants(name));
        }
        let by = GrantedBy::AgentFile;
        let client = self.load(name, bytes, &listed, Vec::new(), by).await?;
        let grants = ToolGrants {
            keeps_session,
            ..client.grants.clone()
        };
        Ok(Arc::new(client.granted(Arc::from(name), grants)))
    }

    /// Makes a tool of an HTTP API's entry in the configuration.
    fn load_api(
        &self,
        name: &ToolName,
        tool: &ToolConfig,
        http: &HttpConfig,
    ) -> Result<Arc<ToolComponent>, StartError> {
        let name = name.as_str();
        let wrong = |reason: String| StartError::HttpEntry {
            tool: name.to_owned(),
            reason,
        };
        if !grants_nothing(tool) || tool.component.is_some() || tool.digest.is_some() {
            return Err(wrong(
                "the entry says what is granted; leave out component, digest, secrets, reveal, credentials, origins and bind"
                    .to_owned(),
            ));
        }
        let mut keys = tool.config.keys();
        if let Some(key) = keys.find(|key| HttpApi::is_own_setting(key)) {
            return Err(wrong(format!(
                "`config` cannot set {key:?}; the entry itself says it"
            )));
        }
        let Some(component) = &self.http_api else {
            return Err(wrong(MissingGuest(builtin::HTTP_API).to_string()));
        };
        let limits = &self.limits.openapi;
        let document = match &http.openapi {
            None => None,
            Some(path) => Some(
                component_file::read_listed(path, limits.max_document_bytes).map_err(|source| {
                    StartError::Unreadable {
                        tool: name.to_owned(),
                        path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
                        source,
                    }
                })?,
            ),
        };
        let settings = component.grants.config.iter().cloned();
        let settings = settings.collect::<BTreeMap<_, _>>().into_iter();
        let settings = settings.chain(tool.config.clone()).collect();
        let api = HttpApi::new(name, http, document.as_deref(), limits).map_err(|source| {
            StartError::HttpApi {
                tool: name.to_owned(),
                source,
            }
        })?;
        for left_out in api.left_out() {
            tracing::warn!(tool = name, operation = %left_out, "an operation of the document is left out");
        }
        let api = Arc::new(api.with_settings(settings));
        Ok(serving(component, name, api, GrantedBy::Manifest))
    }

    async fn load_builtin(
        &mut self,
        builtin: &BuiltinTool,
        bytes: &[u8],
        all: &Listed,
    ) -> Result<(), StartError> {
        let listed = listed(all, builtin.name);
        if listed.component.is_some() || listed.http.is_some() {
            return Err(StartError::BuiltinName(builtin.name.to_owned()));
        }
        let mut tool = listed;
        let opens: Vec<SecretName> = builtin.opens.iter().map(|name| secret(name)).collect();
        let mut secrets = Vec::new();
        for upstream in &builtin.upstreams {
            let origin = origin(builtin.name, upstream, &tool)?;
            let name = secret(&upstream.secret);
            secrets.push(name.clone());
            if !tool.origins.contains(&origin) {
                tool.origins.push(origin.clone());
            }
            // The operator's own grant of the secret has precedence.
            if !tool.reveal.contains(&name) {
                let slot = upstream.slot.clone();
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
                // The absolute path tells the operator where the file was expected.
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

    /// Loads a component that is part of this program.
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

    /// Asks a loaded component for its operations, and sets its grants.
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
            keeps_session: false,
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

    /// Returns the binding without grants in which a tool is asked for its operations.
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

/// Returns the component of HTTP APIs as the tool of one API. The API's secret is bound to its
/// origin, so that it could go nowhere else even if another origin were granted.
pub(super) fn serving(
    component: &ToolComponent,
    name: &str,
    api: Arc<HttpApi>,
    by: GrantedBy,
) -> Arc<ToolComponent> {
    let origin = api.origin().clone();
    let credential = api.credential();
    let secret = credential.map(|it| it.secret().clone());
    let slots = credential.map(|it| (it.secret().clone(), it.slot().clone()));
    let bind = secret
        .iter()
        .map(|name| (name.clone(), vec![origin.clone()]));
    let grants = ToolGrants {
        by,
        keeps_session: false,
        secrets: SecretGrants {
            bind: Arc::new(bind.collect()),
            names: secret.into_iter().collect(),
            opens: Arc::new([]),
            reveal: Arc::new([]),
            slots: Arc::new(slots.into_iter().collect()),
        },
        origins: Arc::new([origin]),
        config: Arc::clone(api.settings()),
    };
    Arc::new(component.serving(Arc::from(name), grants, api))
}

fn grants_nothing(tool: &ToolConfig) -> bool {
    let secrets = tool.secrets.iter().chain(&tool.reveal);
    secrets.chain(tool.credentials.keys()).next().is_none()
        && tool.origins.is_empty()
        && tool.bind.is_empty()
}

fn secret(name: &str) -> SecretName {
    name.parse()
        .expect("a built-in tool's secrets have valid names")
}

/// Returns the origin of a built-in tool's upstream: from the tool's configuration, or the default.
fn origin(tool: &str, upstream: &Upstream, config: &ToolConfig) -> Result<Origin, StartError> {
    match config.config.get(&upstream.base_url_key) {
        Some(url) => origin_of(tool, &upstream.base_url_key, url),
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

/// Returns the entry of a built-in tool in `tavora.toml`, or an empty one.
fn listed(all: &Listed, name: &str) -> ToolConfig {
    let mut listed = all.iter();
    let found = listed.find(|(listed, _)| listed.as_str() == name);
    found.map(|(_, tool)| tool.clone()).unwrap_or_default()
}

/// Returns the origins of `base_url` and `…_base_url` in a tool's configuration.
fn configured_origins(name: &str, tool: &ToolConfig) -> Result<Vec<Origin>, StartError> {
    tool.config
        .iter()
        .filter(|(key, _)| *key == "base_url" || key.ends_with("_base_url"))
        .map(|(key, url)| origin_of(name, key, url))
        .collect()
}
