//! The platform host: agents get tools that use credentials, and never a credential.
//!
//! A [`platform::Platform`] runs two classes of WebAssembly components on wasmtime. *Trusted tools* are linked with
//! `secrets`, outbound HTTP under an egress policy, and configuration. Everything an *agent* supplies is linked with
//! the dispatch of tools and nothing else. The vault itself is the crate `vault_core`, which knows nothing of this one.
//!
//! `examples/embed.rs` shows the whole of it in some forty lines.

pub mod agents;
pub mod api;
mod bearer;
mod builtin;
pub mod cli;
mod component_file;
pub mod config;
mod credential;
mod dispatch;
pub mod egress;
mod guard;
pub mod kek;
mod nearest;
pub mod peer;
pub mod platform;
pub mod rotation;
pub mod runtime;
pub mod scrub;
pub mod server;
mod shown;
pub mod storage;
pub mod telemetry;
pub mod throttle;
mod trail;
pub mod trust;
pub mod ui;
