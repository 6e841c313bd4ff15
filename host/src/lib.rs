//! The platform host. Agents get tools that use credentials, and never a credential.
//!
//! A [`platform::Platform`] runs two classes of WebAssembly components on wasmtime. *Trusted tools*
//! are linked with `secrets`, outbound HTTP under an egress policy, and configuration. Components
//! of an *agent* are linked with the dispatch of tools and nothing else. The vault is the crate
//! `vault_core`, which does not depend on this one.
//!
//! `examples/embed.rs` shows all of it in about forty lines.

#![deny(missing_docs)]

pub mod cli;
pub mod config;
pub mod reference;
pub mod storage;

pub use tavora_agents as agents;
pub use tavora_api as api;
pub use tavora_egress as egress;
pub use tavora_keks as kek;
pub use tavora_platform as platform;
pub use tavora_scrub as scrub;
pub use tavora_server as server;
pub use tavora_telemetry as telemetry;
pub use tavora_trust as trust;
pub use tavora_ui as ui;
pub use tavora_wasm as runtime;
