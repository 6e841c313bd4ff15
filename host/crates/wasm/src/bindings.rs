//! Rust types generated from `wit/`, with the shared types in one place.
//!
//! `tracing` stays off: it would log the content of strings, which may be credentials.

#[allow(missing_docs, reason = "generated; wit/ documents every item")]
pub(crate) mod agent_sandbox {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "tavora:platform/agent-sandbox",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

#[allow(missing_docs, reason = "generated; wit/ documents every item")]
pub(crate) mod trusted_tool {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "tavora:platform/trusted-tool",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "wasi:http": wasmtime_wasi_http::p2::bindings::http,
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "tavora:platform/types": super::agent_sandbox::tavora::platform::types,
        },
    });
}

pub(crate) use agent_sandbox::AgentSandboxPre;
pub(crate) use agent_sandbox::exports::tavora::platform::agent::{RunError, RunInput};
pub use agent_sandbox::tavora::platform::tools;
pub use agent_sandbox::tavora::platform::types::{Operation, ToolError};
pub(crate) use trusted_tool::tavora::platform::secrets::ResolveError;
pub(crate) use trusted_tool::wasi::config::store as config_store;
pub use trusted_tool::{TrustedTool, TrustedToolPre};
