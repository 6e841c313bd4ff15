//! Components of the agent class: the JavaScript sandbox, and components that an agent supplies.
//!
//! The linker provides `tavora:platform/tools` and nothing else: no WASI, no `secrets`. There is no
//! run-time check that could be bypassed, because the other interfaces do not exist in this linker.

pub mod tools;

use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use self::tools::ToolsCapability;
use super::bindings::{self, AgentSandboxPre, RunError, RunInput};
use super::inspection::Inspection;
use super::limits::{LimitHit, Limits, Meter, Section, within};

/// The data of an agent's wasmtime store. It lives for one run.
pub(crate) struct AgentState {
    tools: ToolsCapability,
    meter: Meter,
}

/// A component of the agent class, compiled and linked.
pub struct AgentComponent {
    pre: AgentSandboxPre<AgentState>,
    inspection: Inspection,
}

/// Why a run ended without the agent's own outcome.
#[derive(Debug, thiserror::Error)]
pub enum AgentFailure {
    /// A limit ended the run.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// The host already runs as many instances as `limits.max_instances` allows.
    #[error("the host has no room for another run: limits.max_instances are in use; try again")]
    Busy(#[source] wasmtime::Error),
    /// The guest trapped: an `unreachable`, an access out of bounds, or an invalid answer.
    #[error("the agent's component stopped: {0}")]
    Trapped(String),
}

impl AgentFailure {
    fn of(error: wasmtime::Error, meter: &Meter) -> Self {
        match meter.limit_behind(&error) {
            Some(hit) => Self::Limit(hit),
            None if error.is::<wasmtime::PoolConcurrencyLimitError>() => Self::Busy(error),
            None => Self::Trapped(error.root_cause().to_string()),
        }
    }
}

/// The linker of the agent class.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<AgentState>> {
    let mut linker = Linker::new(engine);
    bindings::tools::add_to_linker::<AgentState, HasSelf<ToolsCapability>>(&mut linker, |state| {
        &mut state.tools
    })?;
    Ok(linker)
}

/// Links a component that passed inspection. The error says which of its types do not fit.
pub(crate) fn prepare(
    linker: &Linker<AgentState>,
    component: &Component,
) -> wasmtime::Result<AgentSandboxPre<AgentState>> {
    AgentSandboxPre::new(linker.instantiate_pre(component)?)
}

impl AgentComponent {
    pub(super) fn new(pre: AgentSandboxPre<AgentState>, inspection: Inspection) -> Self {
        Self { pre, inspection }
    }

    /// The result of inspecting the component's bytes before compilation.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Runs the program once, in a new wasmtime store.
    pub async fn run(
        &self,
        tools: ToolsCapability,
        code: String,
        input: String,
        wall_clock_ms: u64,
        limits: &Limits,
    ) -> Result<Result<String, RunError>, AgentFailure> {
        let state = AgentState {
            tools,
            meter: Meter::for_agent(limits),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(limits.agent.hostcall_fuel_bytes);
        store.epoch_deadline_callback(|mut store| store.data_mut().meter.tick());
        store.set_epoch_deadline(1);
        let run_input = RunInput {
            code,
            input,
            now_ms: now_ms(),
            seed: make_seed(),
        };
        let ended = within(wall_clock_ms, Section::Agent.wall_clock(), async {
            let guest = self.pre.instantiate_async(&mut store).await?;
            guest
                .tavora_platform_agent()
                .call_run(&mut store, &run_input)
                .await
        })
        .await?;
        let outcome = ended.map_err(|error| AgentFailure::of(error, &store.data().meter))?;
        let bytes = match &outcome {
            Ok(json) => json.len(),
            Err(error) => {
                let code = error.code.as_deref().unwrap_or_default();
                error.name.len() + code.len() + error.message.len() + error.stack.len()
            }
        };
        if bytes > limits.agent.max_output_bytes {
            return Err(LimitHit {
                limit: "limits.agent.max_output_bytes",
                allowed: limits.agent.max_output_bytes as u64,
            }
            .into());
        }
        Ok(outcome)
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}

fn make_seed() -> u64 {
    getrandom::u64().expect("the operating system's generator works")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    /// Interfaces of a trusted tool: each with one item and the item's type.
    const OF_TOOLS: [(&str, &str); 6] = [
        (
            "tavora:platform/secrets@0.1.0",
            r#"(type $cases (variant (case "no-vault-designated") (case "not-found") (case "not-granted") (case "unavailable")))
               (export "resolve-error" (type $error (eq $cases)))
               (export "resolve" (func (param "name" string) (result (result string (error $error)))))"#,
        ),
        (
            "wasi:http/types@0.2.3",
            r#"(export "fields" (type (sub resource)))"#,
        ),
        (
            "wasi:cli/environment@0.2.3",
            r#"(export "get-environment" (func (result (list (tuple string string)))))"#,
        ),
        (
            "wasi:random/random@0.2.3",
            r#"(export "get-random-u64" (func (result u64)))"#,
        ),
        (
            "wasi:clocks/monotonic-clock@0.2.3",
            r#"(export "now" (func (result u64)))"#,
        ),
        (
            "wasi:filesystem/types@0.2.3",
            r#"(export "descriptor" (type (sub resource)))"#,
        ),
    ];

    // Inspection refuses these imports before linking. This test shows that the linker holds even
    // if inspection fails to.
    #[test]
    fn the_linker_has_nothing_of_what_a_tool_is_given() {
        let engine = Engine::default();
        let (agents, tools) = (
            linker(&engine).expect("no name twice"),
            tool::linker(&engine).expect("no name twice"),
        );
        for (interface, item) in OF_TOOLS {
            let text = format!(r#"(component (import "{interface}" (instance {item})))"#);
            let bytes = wat::parse_str(&text).expect(interface);
            let component = Component::new(&engine, bytes).expect(interface);
            assert!(tools.instantiate_pre(&component).is_ok(), "{interface}");
            assert!(agents.instantiate_pre(&component).is_err(), "{interface}");
        }
    }
}
