//! An agent: its name, its model, the tools it may call, and its MCP servers, each with the name of
//! its credential.
//!
//! These types cannot hold an invalid agent; `declaration` reads them from a file. No credential is
//! held here.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use serde::Serialize;
use url::Url;
use vault_core::SecretName;

use tavora_egress::Origin;
use tavora_openapi::HttpApi;
use tavora_wasm::tool::ToolName;

/// The name of an agent and of its folder: 1 to 64 characters of `a-z 0-9 - _`, beginning with a
/// letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AgentId(String);

impl AgentId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AgentId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        match is_name(&id, |c| c.is_ascii_lowercase()) {
            true => Ok(Self(id)),
            false => Err(format!(
                "{:?} is not an agent's id: 1 to 64 characters of a-z, 0-9, - and _, a letter first",
                shortened(&id)
            )),
        }
    }
}

/// The agent's name for an MCP server: 1 to 64 characters of `A-Z a-z 0-9 - _`, beginning with a
/// letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServerName(String);

impl ServerName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The server's name among the tools of a run. It has a colon, which no tool of the operator
    /// has.
    pub fn tool_name(&self) -> String {
        format!("mcp:{}", self.0)
    }
}

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match is_name(&name, |c| c.is_ascii_alphabetic()) {
            true => Ok(Self(name)),
            false => Err(format!(
                "{:?} is not a server's name: 1 to 64 characters of A-Z, a-z, 0-9, - and _, a letter first",
                shortened(&name)
            )),
        }
    }
}

/// An agent's name for an HTTP API: 1 to 64 characters of `A-Z a-z 0-9 - _`, beginning with a
/// letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApiName(String);

impl ApiName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The API's name among the tools of a run. It has a colon, which no tool of the operator has.
    pub fn tool_name(&self) -> String {
        format!("http:{}", self.0)
    }
}

impl TryFrom<String> for ApiName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match is_name(&name, |c| c.is_ascii_alphabetic()) {
            true => Ok(Self(name)),
            false => Err(format!(
                "{:?} is not an API's name: 1 to 64 characters of A-Z, a-z, 0-9, - and _, a letter first",
                shortened(&name)
            )),
        }
    }
}

/// The way in which messages travel to a server and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// One endpoint for every message: revisions of the protocol from 2025-03-26 on.
    StreamableHttp,
    /// A stream of events with a separate endpoint for messages: revision 2024-11-05.
    Sse,
}

impl Transport {
    /// The word for this transport in `agent.jsonc`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamableHttp => "streamable_http",
            Self::Sse => "sse",
        }
    }
}

/// A secret that a file names, with its position in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    pub name: SecretName,
    pub line: usize,
    pub column: usize,
}

/// The form in which a server expects its credential. The value is in the vault of the app that
/// runs the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAuth {
    /// `Authorization: Bearer <the secret>`
    Bearer {
        /// The secret with the token.
        token: SecretRef,
    },
    /// A header that the server defines.
    Header {
        /// The name of the header.
        name: HeaderName,
        /// The secret with the header's value.
        value: SecretRef,
    },
}

impl ServerAuth {
    /// The secret, in either form.
    pub fn secret(&self) -> &SecretRef {
        match self {
            Self::Bearer { token } => token,
            Self::Header { value, .. } => value,
        }
    }
}

/// An MCP server that an agent may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// The agent's name for the server.
    pub name: ServerName,
    /// The URL of the endpoint.
    pub url: Url,
    /// The only origin that the client of this server may reach.
    pub origin: Origin,
    pub transport: Transport,
    /// The form of the credential, if the server needs one.
    pub auth: Option<ServerAuth>,
}

/// An HTTP API that an agent may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredApi {
    /// The agent's name for the API.
    pub name: ApiName,
    /// The secret with the API's credential, or `None` for a public API.
    pub secret: Option<SecretRef>,
    /// The path of the API's OpenAPI document beside `agent.jsonc`, if there is one.
    pub document: Option<PathBuf>,
    /// The compiled API: its operations and settings.
    pub api: Arc<HttpApi>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The name of the agent's folder.
    pub id: AgentId,
    /// The name shown to people.
    pub name: String,
    /// The agent's default model. With a model, the agent is granted the router of models.
    pub model: Option<String>,
    /// The tools that the agent may call, besides the router of models and the MCP servers.
    pub tools: BTreeSet<ToolName>,
    pub servers: Vec<McpServer>,
    /// The HTTP APIs that the agent may use.
    pub apis: Vec<DeclaredApi>,
}

impl Agent {
    /// The secrets of the agent's servers, in the order of the file.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let auths = self.servers.iter().filter_map(|it| it.auth.as_ref());
        let of_apis = self.apis.iter().filter_map(|it| it.secret.as_ref());
        auths.map(ServerAuth::secret).chain(of_apis)
    }
}

fn is_name(name: &str, starts: impl Fn(char) -> bool) -> bool {
    let plain = |c: char| starts(c) || c.is_ascii_digit() || "-_".contains(c);
    name.starts_with(&starts) && name.len() <= 64 && name.chars().all(plain)
}

/// Shortens a text for a message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_name_of_one_folder() {
        for wrong in [
            "",
            ".",
            "..",
            "a/b",
            "A",
            "1a",
            "a b",
            "-a",
            "é",
            &"a".repeat(65),
        ] {
            assert!(AgentId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(AgentId::try_from("a1-_".to_owned()).is_ok());
    }
}
