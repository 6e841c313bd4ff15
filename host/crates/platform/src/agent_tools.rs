//! Builds the grants of an agent's file: the named tools, the router of models if the agent has a
//! model, and one MCP client for each of its servers. That client may resolve only its server's
//! secret and reach only its server's origin.
//!
//! No file is read and no tool is called here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Platform, toolbox};
use crate::dispatch::{KnownServers, Tools, URL};
use tavora_agents::{Agent, McpServer, ServerAuth};
use tavora_trust::slot::Slot;
use tavora_wasm::builtin;
use tavora_wasm::tool::secrets::SecretGrants;
use tavora_wasm::tool::{GrantedBy, ToolComponent, ToolGrants};

/// The router's setting that an agent's `model` replaces.
const DEFAULT_MODEL: &str = "default_model";

/// The client's settings that describe its server. The operator's settings have other names.
const OF_THE_SERVER: [&str; 6] = ["server", URL, "transport", "secret", "auth_header", ERA];

/// The protocol era that this host has found out for the server.
const ERA: &str = "era";

/// The client's time limits for the next byte.
const WAITS: [&str; 2] = ["first_byte_timeout_ms", "between_bytes_timeout_ms"];

impl Platform {
    /// Returns the tools of the platform whose names match.
    pub(super) fn named(&self, is_wanted: impl Fn(&str) -> bool) -> Tools {
        let wanted = self.tools.iter().filter(|(name, _)| is_wanted(name));
        wanted
            .map(|(name, tool)| (Arc::clone(name), Arc::clone(tool)))
            .collect()
    }

    /// Returns the tools that the agent may call.
    pub(super) fn granted_to(&self, agent: &Agent) -> Tools {
        let named: BTreeSet<&str> = agent.tools.iter().map(|tool| tool.as_str()).collect();
        let mut granted = self.named(|name| named.contains(name));
        if let Some(model) = &agent.model
            && let Some(router) = self.tools.get(builtin::ROUTER)
        {
            let router = Arc::new(with_model(router, model));
            granted.insert(Arc::clone(&router.name), router);
        }
        if let Some(client) = &self.mcp_client {
            granted.extend(agent.servers.iter().map(|server| {
                let tool = Arc::new(for_server(client, server, &self.servers));
                (Arc::clone(&tool.name), tool)
            }));
        }
        if let Some(component) = &self.http_api {
            granted.extend(agent.apis.iter().map(|declared| {
                let (name, api) = (declared.name.tool_name(), Arc::clone(&declared.api));
                let tool = toolbox::serving(component, &name, api, GrantedBy::AgentFile);
                (Arc::clone(&tool.name), tool)
            }));
        }
        granted
    }
}

fn with_model(router: &ToolComponent, model: &str) -> ToolComponent {
    let mut config: BTreeMap<String, String> = router.grants.config.iter().cloned().collect();
    config.insert(DEFAULT_MODEL.to_owned(), model.to_owned());
    let grants = ToolGrants {
        config: config.into_iter().collect(),
        ..router.grants.clone()
    };
    router.granted(Arc::clone(&router.name), grants)
}

/// Returns the client for one server. The secret is bound to the server's origin as well, so that
/// it could not be sent elsewhere even if another origin were granted.
fn for_server(client: &ToolComponent, server: &McpServer, known: &KnownServers) -> ToolComponent {
    let operators = client.grants.config.iter();
    let mut config: Vec<(String, String)> = operators
        .filter(|(key, _)| !OF_THE_SERVER.contains(&key.as_str()))
        .cloned()
        .collect();
    let idle_ms = client.limits().mcp.idle_ms.to_string();
    for wait in WAITS {
        if !config.iter().any(|(key, _)| key == wait) {
            config.push((wait.to_owned(), idle_ms.clone()));
        }
    }
    let mut set = |key: &str, value: &str| config.push((key.to_owned(), value.to_owned()));
    set("server", server.name.as_str());
    set(URL, server.url.as_str());
    set("transport", server.transport.as_str());
    if let Some(era) = known.era(server.url.as_str()) {
        set(ERA, era);
    }
    if let Some(auth) = &server.auth {
        set("secret", auth.secret().name.as_str());
    }
    if let Some(ServerAuth::Header { name, .. }) = &server.auth {
        set("auth_header", name.as_str());
    }
    let secret = server.auth.as_ref().map(|auth| auth.secret().name.clone());
    let slots = server.auth.as_ref().map(|auth| {
        let slot = match auth {
            ServerAuth::Bearer { .. } => Slot::Bearer,
            ServerAuth::Header { name, .. } => Slot::Header {
                name: name.clone(),
                prefix: None,
            },
        };
        (auth.secret().name.clone(), slot)
    });
    let bind = secret.iter().cloned();
    let bind = bind
        .map(|name| (name, vec![server.origin.clone()]))
        .collect();
    let grants = ToolGrants {
        by: GrantedBy::AgentFile,
        keeps_session: true,
        secrets: SecretGrants {
            names: secret.into_iter().collect(),
            bind: Arc::new(bind),
            opens: Arc::new([]),
            reveal: Arc::new([]),
            slots: Arc::new(slots.into_iter().collect()),
        },
        origins: Arc::new([server.origin.clone()]),
        config: config.into(),
    };
    client.granted(server.name.tool_name().into(), grants)
}
