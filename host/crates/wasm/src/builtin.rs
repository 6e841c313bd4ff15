//! The components that live inside the binary, and the grants that the built-in tools come with.
//!
//! Their sources are in `guest-tools/`; `cargo xtask guests` builds them and `build.rs` embeds
//! them.

use http::HeaderName;
use tavora_trust::slot::Slot;

/// A component that ships with the host.
type Guest = (&'static str, Option<&'static [u8]>);

const GUESTS: &[Guest] = &include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// What a built-in tool is granted before `tavora.toml` adds to it.
pub struct BuiltinTool {
    pub name: &'static str,
    /// Where its secrets go, and nowhere else.
    pub upstreams: &'static [Upstream],
    /// Secrets whose values are URLs, each of which opens its own origin to the tool.
    pub opens: &'static [&'static str],
}

/// An upstream with the secret that it is asked with.
pub struct Upstream {
    pub secret: &'static str,
    pub origin: &'static str,
    /// Where it stands in a request.
    pub slot: BuiltinSlot,
    /// The key of the tool's configuration that puts a URL in the origin's place.
    pub base_url_key: &'static str,
}

/// The slot of a built-in tool's secret.
#[derive(Clone, Copy)]
pub enum BuiltinSlot {
    /// `Authorization: Bearer X`
    Bearer,
    /// The whole value of this header.
    Header(&'static str),
}

impl BuiltinSlot {
    /// The same as a grant has it.
    pub fn slot(self) -> Slot {
        match self {
            Self::Bearer => Slot::Bearer,
            Self::Header(name) => Slot::Header {
                name: HeaderName::from_static(name),
                prefix: None,
            },
        }
    }
}

/// The built-in tools, by name.
pub const TOOLS: &[BuiltinTool] = &[
    BuiltinTool {
        name: "brave-search",
        upstreams: &[Upstream {
            secret: "brave_api_key",
            origin: "https://api.search.brave.com",
            slot: BuiltinSlot::Header("x-subscription-token"),
            base_url_key: "base_url",
        }],
        opens: &[],
    },
    BuiltinTool {
        name: ROUTER,
        upstreams: &[
            Upstream {
                secret: "gemini_api_key",
                origin: "https://generativelanguage.googleapis.com",
                slot: BuiltinSlot::Bearer,
                base_url_key: "gemini_base_url",
            },
            Upstream {
                secret: "openai_api_key",
                origin: "https://api.openai.com",
                slot: BuiltinSlot::Bearer,
                base_url_key: "openai_base_url",
            },
            Upstream {
                secret: "openrouter_api_key",
                origin: "https://openrouter.ai",
                slot: BuiltinSlot::Bearer,
                base_url_key: "openrouter_base_url",
            },
            Upstream {
                secret: "edenai_api_key",
                origin: "https://api.edenai.run",
                slot: BuiltinSlot::Bearer,
                base_url_key: "edenai_base_url",
            },
        ],
        opens: &["ollama_base_url"],
    },
];

/// The client of the MCP servers that agents declare. What it may have comes from their files.
pub const MCP_CLIENT: &str = "mcp-client";

/// The tool that answers chat completions; it is granted to an agent with a `model`.
pub const ROUTER: &str = "llm-router";

/// The component of the agents' JavaScript sandbox.
pub const SANDBOX: &str = "js-sandbox";

/// A built-in component was not there when this binary was built.
#[derive(Debug, thiserror::Error)]
#[error(
    "this binary was built without the component {0}; run `cargo xtask guests` and build the host again"
)]
pub struct MissingGuest(pub &'static str);

/// The bytes of a built-in component.
pub fn component(name: &'static str) -> Result<&'static [u8], MissingGuest> {
    GUESTS
        .iter()
        .find(|(known, _)| *known == name)
        .and_then(|(_, bytes)| *bytes)
        .ok_or(MissingGuest(name))
}
