//! Agent sandbox: runs an agent's JavaScript. A program has the tools that the platform granted to
//! the run, and nothing else.
//!
//! The component imports only `tools`. Credentials, network, files, clock and randomness are out of
//! reach, because nothing imports them. The component bounds the engine's own stack and memory, so
//! that a program sees an error where it can. The host bounds time and everything else.
//!
//! `cargo xtask guests` pre-initialises the component: it calls `wizer-initialize` at build time
//! and stores the memory. So a run starts with a booted engine.

mod bindings;
mod clock;
mod engine;
mod foreign;
mod numbers;
mod program;
mod random;
mod rules;
mod run_error;
mod well_formed;
mod words;

use bindings::exports::tavora::platform::agent::{Guest, RunError, RunInput};
use bindings::tavora::platform::tools::{self, ToolCall, ToolError, ToolInfo};
use engine::{Engine, Platform};
use std::rc::Rc;

#[allow(missing_docs, unsafe_code)]
mod component {
    use super::{JsSandbox, bindings};
    bindings::export!(JsSandbox with_types_in bindings);
}

thread_local! {
    static ENGINE: Engine = Engine::boot(Rc::new(Host));
}

struct JsSandbox;

impl Guest for JsSandbox {
    fn run(input: RunInput) -> Result<String, RunError> {
        ENGINE.with(|engine| engine.run(&input))
    }
}

/// The platform, through the component's imports.
struct Host;

impl Platform for Host {
    fn list(&self) -> Vec<ToolInfo> {
        tools::list()
    }

    fn call(&self, call: &ToolCall) -> Result<String, ToolError> {
        tools::call(&call.tool, &call.operation, &call.input)
    }

    fn call_all(&self, calls: &[ToolCall]) -> Vec<Result<String, ToolError>> {
        tools::call_all(calls)
    }

    fn log(&self, line: &str) {
        tools::log(line);
    }
}

/// Boots the engine. The build calls this once, when no import works.
#[allow(unsafe_code)]
#[unsafe(export_name = "wizer-initialize")]
extern "C" fn initialize() {
    ENGINE.with(|_| ());
}
