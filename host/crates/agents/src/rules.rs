//! The names and URLs that agents' files may use on one host. Also the two parts of a declaration
//! that servers and APIs share: a URL and the name of a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use url::Url;
use vault_core::SecretName;

use super::agent::SecretRef;
use super::document::{Document, Fields, invisible_in};
use tavora_egress::{Origin, refused_range};
use tavora_openapi::DocumentLimits;
use tavora_wasm::builtin;
use tavora_wasm::tool::ToolName;

/// The limits of what an agent's file may name.
#[derive(Clone, Debug, Default)]
pub struct AgentRules {
    /// The origins that may have addresses that are not public.
    pub allow_private_origins: Vec<Origin>,
    /// The tools of this host that agents may name.
    pub tools: BTreeSet<String>,
    /// The rules for HTTP APIs in agents' files.
    pub http: HttpRules,
}

/// The rules for every HTTP API that an agent's file declares.
#[derive(Clone, Debug, Default)]
pub struct HttpRules {
    /// Limits of the API's OpenAPI document.
    pub limits: DocumentLimits,
    /// The operator's settings of the component `http-api`.
    pub settings: BTreeMap<String, String>,
}

/// Reads a document beside `agent.jsonc`. An error is the end of a sentence.
pub(super) type ReadDocument<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, String>;

impl AgentRules {
    /// Returns the rules of a host with these tools.
    pub fn new<'a>(
        listed: impl Iterator<Item = &'a ToolName>,
        allow_private_origins: Vec<Origin>,
        http: HttpRules,
    ) -> Self {
        let listed = listed.map(ToolName::as_str);
        let built_in = builtin::TOOLS.iter().map(|tool| tool.name);
        Self {
            http,
            allow_private_origins,
            // An agent is granted these two tools by naming a server or an API.
            tools: listed
                .filter(|name| ![builtin::MCP_CLIENT, builtin::HTTP_API].contains(name))
                .chain(built_in)
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// Reads the name of a secret, and keeps its position.
pub(super) fn secret(
    document: &mut Document<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<SecretRef> {
    let node = document.required(fields, key)?;
    let name = document.parsed(node, key, |name| name.parse::<SecretName>())?;
    let (line, column) = document.place(node);
    Some(SecretRef { name, line, column })
}

/// Parses a URL that the egress policy lets the client reach. This is checked without resolving the
/// host's name.
pub(super) fn endpoint(text: &str, rules: &AgentRules) -> Result<(Url, Origin), String> {
    // The URL parser would silently drop or encode an invisible character.
    if invisible_in(text).is_some() {
        return Err("this URL cannot be right".to_owned());
    }
    // `Origin::of_url` refuses texts that the URL parser would silently read as another URL.
    let origin = Origin::of_url(text)
        .map_err(|error| format!("the egress policy refuses this URL: {error}"))?;
    let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
    if url.fragment().is_some() {
        return Err("a server's URL has no fragment (#…); leave it out".to_owned());
    }
    let is_allowed = rules.allow_private_origins.contains(&origin);
    let is_local = origin.host() == "localhost" || origin.host().ends_with(".localhost");
    let refused = match origin.address() {
        Some(address) => refused_range(address),
        None => is_local.then_some("loopback"),
    };
    match refused {
        Some(range) if !is_allowed => Err(format!(
            "the egress policy refuses {origin}: its address is {range}; \
             the operator can add it to [egress] allow_private_origins"
        )),
        _ => Ok((url, origin)),
    }
}
