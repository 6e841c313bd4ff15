//! The components inside the binary, and the grants of the built-in tools.
//!
//! Their sources are in `guest-tools/`, each with a `tool.toml` from which these facts come. `cargo
//! xtask guests` builds the components and `build.rs` embeds them.

use std::sync::LazyLock;

use serde::Deserialize;
use tavora_trust::slot::Slot;

/// A component that ships with the host.
struct Guest {
    name: &'static str,
    /// The text of the guest's `tool.toml`.
    manifest: &'static str,
    /// The component, or `None` if it was not built.
    bytes: Option<&'static [u8]>,
}

const GUESTS: &[Guest] = &include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// The content of a guest's `tool.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    role: Role,
    #[expect(dead_code, reason = "xtask encodes the component by it")]
    imports: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "xtask encodes the component by it")]
    is_initialised: bool,
    #[serde(default)]
    upstreams: Vec<Upstream>,
    #[serde(default)]
    opens: Vec<String>,
    #[serde(default)]
    settings: Vec<Setting>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    /// A built-in tool that comes with grants.
    Tool,
    /// A part of the host.
    Host,
    /// A guest for tests or benches. It is not embedded.
    Test,
}

/// The grants of a built-in tool, before `tavora.toml` adds to them.
pub struct BuiltinTool {
    pub name: &'static str,
    /// The upstreams of the tool. Each secret goes to its upstream and nowhere else.
    pub upstreams: Vec<Upstream>,
    /// Secrets whose values are URLs, each of which opens its own origin to the tool.
    pub opens: Vec<String>,
}

/// An upstream, with the secret for its requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub secret: String,
    pub origin: String,
    /// The place of a request in which the secret stands.
    pub slot: Slot,
    /// The key of the tool's configuration whose URL replaces the origin.
    pub base_url_key: String,
}

/// A key of `[tools.NAME.config]` that a guest reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub key: String,
    /// The value without the key, or `None` if there is no value without it.
    pub default: Option<String>,
    /// The key of `tavora.toml` whose value replaces the default.
    pub follows: Option<String>,
    pub meaning: String,
}

/// Returns the built-in tools, sorted by name.
pub static TOOLS: LazyLock<Vec<BuiltinTool>> = LazyLock::new(|| {
    let tools = manifests().filter(|(_, manifest)| manifest.role == Role::Tool);
    tools
        .map(|(name, manifest)| BuiltinTool {
            name,
            upstreams: manifest.upstreams,
            opens: manifest.opens,
        })
        .collect()
});

/// Returns the settings of each embedded guest, with the guest's name.
pub fn settings() -> impl Iterator<Item = (&'static str, Vec<Setting>)> {
    manifests().map(|(name, manifest)| (name, manifest.settings))
}

fn manifests() -> impl Iterator<Item = (&'static str, Manifest)> {
    GUESTS.iter().map(|guest| {
        let manifest: Manifest = toml::from_str(guest.manifest)
            .unwrap_or_else(|error| panic!("tool.toml of {} is wrong: {error}", guest.name));
        assert!(manifest.role != Role::Test, "{} is embedded", guest.name);
        (guest.name, manifest)
    })
}

/// The client of the MCP servers that agents declare. The agents' files say what it is granted.
pub const MCP_CLIENT: &str = "mcp-client";

/// The component of the HTTP APIs that `tavora.toml` and agents' files declare. Each API's entry
/// says what the component is granted.
pub const HTTP_API: &str = "http-api";

/// The tool that answers chat completions; it is granted to an agent with a `model`.
pub const ROUTER: &str = "llm-router";

/// The component of the agents' JavaScript sandbox.
pub const SANDBOX: &str = "js-sandbox";

/// This binary was built without a built-in component.
#[derive(Debug, thiserror::Error)]
#[error(
    "this binary was built without the component {0}; run `cargo xtask guests` and build the host again"
)]
pub struct MissingGuest(pub &'static str);

/// Returns the bytes of a built-in component.
pub fn component(name: &'static str) -> Result<&'static [u8], MissingGuest> {
    GUESTS
        .iter()
        .find(|guest| guest.name == name)
        .and_then(|guest| guest.bytes)
        .ok_or(MissingGuest(name))
}
