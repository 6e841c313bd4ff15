//! One agent: what it is called, its model, the tools it may call, and the MCP servers and HTTP APIs
//! that it may use, each with the name of its credential.
//!
//! What is here cannot be wrong; how it is read from a file is in `declaration`. It holds no
//! credential.

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

/// The name of an agent and of its folder: 1 to 64 characters of `a-z 0-9 - _`, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AgentId(String);

impl AgentId {
    /// The id as text.
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

/// What an agent calls an MCP server: 1 to 64 characters of `A-Z a-z 0-9 - _`, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServerName(String);

impl ServerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the server is called among the tools of a run. The colon keeps it apart from every tool
    /// of the operator.
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

/// What an agent calls an HTTP API: 1 to 64 characters of `A-Z a-z 0-9 - _`, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApiName(String);

impl ApiName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the API is called among the tools of a run. The colon keeps it apart from every tool of
    /// the operator.
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

/// How messages travel to a server and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// One endpoint that takes every message: the protocol's revisions from 2025-03-26 on.
    StreamableHttp,
    /// A stream of events and an endpoint beside it: the revision 2024-11-05.
    Sse,
}

impl Transport {
    /// The word for it in `agent.jsonc`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamableHttp => "streamable_http",
            Self::Sse => "sse",
        }
    }
}

/// A secret that a file names, and where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// The name of the secret.
    pub name: SecretName,
    /// The line.
    pub line: usize,
    /// The column in it.
    pub column: usize,
}

/// What a server wants to see before it answers. The value is in the vault of the app that runs the
/// agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAuth {
    /// `Authorization: Bearer <the secret>`
    Bearer {
        /// The secret.
        token: SecretRef,
    },
    /// A header of its own.
    Header {
        /// The name of the header.
        name: HeaderName,
        /// The secret.
        value: SecretRef,
    },
}

impl ServerAuth {
    /// The secret.
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
    /// What the agent calls it.
    pub name: ServerName,
    /// Its endpoint.
    pub url: Url,
    /// The only origin that is reached for it.
    pub origin: Origin,
    /// How messages travel.
    pub transport: Transport,
    /// Its credential, if it wants one.
    pub auth: Option<ServerAuth>,
}

/// An HTTP API that an agent may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredApi {
    /// What the agent calls it.
    pub name: ApiName,
    /// Its credential, if it wants one.
    pub secret: Option<SecretRef>,
    /// The file of its OpenAPI document beside `agent.jsonc`, if it has one.
    pub document: Option<PathBuf>,
    /// What it can be asked.
    pub api: Arc<HttpApi>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id, which is its folder's name.
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// The model that it talks to; with one, it is granted the router of models.
    pub model: Option<String>,
    /// The tools that it may call, besides the router of models and its servers.
    pub tools: BTreeSet<ToolName>,
    /// Its MCP servers.
    pub servers: Vec<McpServer>,
    /// Its HTTP APIs.
    pub apis: Vec<DeclaredApi>,
}

impl Agent {
    /// The secrets that its servers want, and then its APIs.
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

/// As much of a text as a message repeats.
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
