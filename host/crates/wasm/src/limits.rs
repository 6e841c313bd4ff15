//! What a run and a tool call may use: every limit with its name, its default and its setting, and
//! what is reported when one is hit.
//!
//! The names here are the keys of `[limits]`, `[limits.agent]` and `[limits.tool]` in
//! `tavora.toml`. What a tool's outbound requests may use is the egress policy's business, not this
//! file's.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tavora_openapi::DocumentLimits;
use wasmtime::component::ResourceTableError;
use wasmtime::{ResourceLimiter, Trap, UpdateDeadline};

use super::inspection::InspectionLimits;

/// How often the engine's epoch advances: the grain in which CPU time is counted.
pub const TICK_MS: u64 = 10;

/// The limits of one host process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many components' instances may exist at once; what comes on top is refused and may be
    /// tried again. Runs in components that agents supplied are counted on their own, up to the
    /// same number.
    pub max_instances: u32,
    /// How many core instances one component may be composed of.
    pub max_core_instances: u32,
    /// How many linear memories one component may have.
    pub max_memories: u32,
    /// How many tables one component may have.
    pub max_tables: u32,
    /// How much native stack a guest may use, in bytes: what bounds its recursion.
    pub max_stack_bytes: usize,
    /// How many workers inspect and compile components at once; further components wait.
    pub max_concurrent_compilations: NonZeroUsize,
    /// How large and how deep a component may be.
    pub component: InspectionLimits,
    /// Limits of agents' runs.
    pub agent: AgentLimits,
    /// Limits of calls to trusted tools.
    pub tool: ToolLimits,
    /// Limits of requests that trusted tools answer over HTTP.
    pub stream: StreamLimits,
    /// Limits of calls to MCP servers.
    pub mcp: McpLimits,
    /// Limits of the OpenAPI documents of HTTP APIs.
    pub openapi: DocumentLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_instances: 256,
            max_core_instances: 64,
            max_memories: 20,
            max_tables: 20,
            max_stack_bytes: 4 << 20,
            max_concurrent_compilations: NonZeroUsize::new(4).expect("it is above zero"),
            component: InspectionLimits::default(),
            agent: AgentLimits::default(),
            tool: ToolLimits::default(),
            stream: StreamLimits::default(),
            mcp: McpLimits::default(),
            openapi: DocumentLimits::default(),
        }
    }
}

/// The limits of one run of an agent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Runs that one app may have at once over the HTTP API.
    pub max_runs_per_app: u32,
    /// From start to end, host calls included, in milliseconds.
    pub wall_clock_ms: u64,
    /// Time in the guest's own code, in milliseconds, counted in ticks of 10.
    pub cpu_ms: u64,
    /// All linear memories of the run together, in bytes.
    pub max_memory_bytes: usize,
    /// All tables of the run together, in elements.
    pub max_table_elements: usize,
    /// What one host call may copy out of the guest, in bytes.
    pub hostcall_fuel_bytes: usize,
    /// The agent's program, in bytes.
    pub max_code_bytes: usize,
    /// The run's input, and the input of one tool call, in bytes.
    pub max_input_bytes: usize,
    /// The run's result, in bytes.
    pub max_output_bytes: usize,
    /// All lines of the run's log together, in bytes.
    pub max_log_bytes: usize,
    /// Calls of tools in one run.
    pub max_tool_calls: u32,
    /// Calls of tools that are under way at the same time in one run.
    pub max_concurrent_calls: usize,
    /// The answers to one list of calls together, in bytes.
    pub max_answer_bytes: usize,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self {
            max_runs_per_app: 32,
            wall_clock_ms: 60_000,
            cpu_ms: 5_000,
            max_memory_bytes: 128 << 20,
            max_table_elements: 20_000,
            hostcall_fuel_bytes: 16 << 20,
            max_code_bytes: 1 << 20,
            max_input_bytes: 1 << 20,
            max_output_bytes: 4 << 20,
            max_log_bytes: 256 << 10,
            max_tool_calls: 200,
            max_concurrent_calls: 8,
            max_answer_bytes: 16 << 20,
        }
    }
}

/// The limits of one call of a trusted tool.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolLimits {
    /// From start to end, upstream included, in milliseconds.
    pub wall_clock_ms: u64,
    /// Time in the tool's own code, in milliseconds, counted in ticks of 10.
    pub cpu_ms: u64,
    /// All linear memories of the tool's instance together, in bytes.
    pub max_memory_bytes: usize,
    /// All tables of the tool's instance together, in elements.
    pub max_table_elements: usize,
    /// What one host call may copy out of the guest, in bytes.
    pub hostcall_fuel_bytes: usize,
    /// Host resources (streams, requests, …) that the instance may hold at once.
    pub max_resources: usize,
    /// The answer to one call, in bytes.
    pub max_output_bytes: usize,
    /// What one instance may write to its log, in bytes; the rest is dropped.
    pub max_log_bytes: usize,
    /// Refused requests of one call that are audited one by one; the rest is counted in one entry.
    pub max_recorded_denials: usize,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self {
            wall_clock_ms: 30_000,
            cpu_ms: 2_000,
            max_memory_bytes: 256 << 20,
            max_table_elements: 50_000,
            hostcall_fuel_bytes: 32 << 20,
            max_resources: 1_000,
            max_output_bytes: 4 << 20,
            max_log_bytes: 64 << 10,
            max_recorded_denials: 32,
        }
    }
}

/// The limits of a request that a trusted tool answers over HTTP. Those of [`ToolLimits`] hold as
/// well, but for the wall clock and the size of the answer, which streams.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamLimits {
    /// Requests that are being answered at once; what comes on top is refused and may be tried
    /// again.
    pub max_concurrent: usize,
    /// Those among them of one app.
    pub max_per_app: u32,
    /// The longest time without the head or another piece of the answer, in milliseconds.
    pub idle_ms: u64,
    /// From start to end, in milliseconds.
    pub wall_clock_ms: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            max_concurrent: 192,
            max_per_app: 64,
            idle_ms: 120_000,
            wall_clock_ms: 1_800_000,
        }
    }
}

/// The limits of a call to an MCP server. Those of [`ToolLimits`] hold as well, but for the wall
/// clock.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct McpLimits {
    /// The longest time without a byte of the server's, in milliseconds. It takes the place of the
    /// egress policy's `first_byte_timeout_ms` and `idle_timeout_ms`.
    pub idle_ms: NonZeroU64,
    /// From start to end, in milliseconds.
    pub wall_clock_ms: u64,
    /// For the word to a server that a session has ended, in milliseconds; no run waits for it.
    pub end_ms: u64,
}

impl Default for McpLimits {
    fn default() -> Self {
        Self {
            idle_ms: NonZeroU64::new(60_000).expect("it is above zero"),
            wall_clock_ms: 600_000,
            end_ms: 5_000,
        }
    }
}

/// A limit that ended a run or a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {limit} ({allowed}) was hit")]
pub struct LimitHit {
    /// The limit's key in `tavora.toml`, with its section.
    pub limit: &'static str,
    /// What is allowed, in the unit that the key names.
    pub allowed: u64,
}

/// The section of `[limits]` whose names a store reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Agent,
    Tool,
}

impl Section {
    fn name(self, agent: &'static str, tool: &'static str) -> &'static str {
        match self {
            Self::Agent => agent,
            Self::Tool => tool,
        }
    }

    pub(crate) fn wall_clock(self) -> &'static str {
        self.name("limits.agent.wall_clock_ms", "limits.tool.wall_clock_ms")
    }
}

/// Meters what a guest uses of the machine: memory, tables and ticks in its own code.
pub(crate) struct Meter {
    section: Section,
    max_memory_bytes: usize,
    max_table_elements: usize,
    max_ticks: u64,
    hostcall_fuel_bytes: usize,
    max_stack_bytes: usize,
    max_resources: usize,
    memory_bytes: usize,
    table_elements: usize,
    ticks: u64,
    denied: Option<LimitHit>,
}

impl Meter {
    pub(crate) fn for_agent(limits: &Limits) -> Self {
        let AgentLimits {
            max_memory_bytes,
            max_table_elements,
            cpu_ms,
            hostcall_fuel_bytes,
            ..
        } = limits.agent;
        Self {
            section: Section::Agent,
            max_memory_bytes,
            max_table_elements,
            max_ticks: ticks(cpu_ms),
            hostcall_fuel_bytes,
            ..Self::idle(limits)
        }
    }

    pub(crate) fn for_tool(limits: &Limits) -> Self {
        let ToolLimits {
            max_memory_bytes,
            max_table_elements,
            cpu_ms,
            hostcall_fuel_bytes,
            max_resources,
            ..
        } = limits.tool;
        Self {
            section: Section::Tool,
            max_memory_bytes,
            max_table_elements,
            max_ticks: ticks(cpu_ms),
            hostcall_fuel_bytes,
            max_resources,
            ..Self::idle(limits)
        }
    }

    fn idle(limits: &Limits) -> Self {
        Self {
            section: Section::Agent,
            max_memory_bytes: 0,
            max_table_elements: 0,
            max_ticks: 0,
            hostcall_fuel_bytes: 0,
            max_stack_bytes: limits.max_stack_bytes,
            max_resources: 0,
            memory_bytes: 0,
            table_elements: 0,
            ticks: 0,
            denied: None,
        }
    }

    /// Starts a new count of CPU time, for the next call into the same store.
    pub(crate) fn restart_clock(&mut self) {
        self.ticks = 0;
        self.denied = None;
    }

    /// One epoch tick landed in guest code.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.ticks += 1;
        if self.ticks > self.max_ticks {
            return Err(LimitHit {
                limit: self
                    .section
                    .name("limits.agent.cpu_ms", "limits.tool.cpu_ms"),
                allowed: self.max_ticks * TICK_MS,
            }
            .into());
        }
        Ok(UpdateDeadline::Yield(1))
    }

    /// The limit that ended the guest with `error`, if one did. A guest that traps after a denied
    /// growth trapped for want of it, as far as anyone can tell.
    pub(crate) fn limit_behind(&self, error: &wasmtime::Error) -> Option<LimitHit> {
        if let Some(hit) = error.downcast_ref::<LimitHit>() {
            return Some(hit.clone());
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
            return Some(LimitHit {
                limit: "limits.max_stack_bytes",
                allowed: self.max_stack_bytes as u64,
            });
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
            return Some(LimitHit {
                limit: "limits.tool.max_resources",
                allowed: self.max_resources as u64,
            });
        }
        // The runtime has no type for this error.
        if error
            .root_cause()
            .to_string()
            .contains("fuel allocated for hostcalls")
        {
            return Some(LimitHit {
                limit: self.section.name(
                    "limits.agent.hostcall_fuel_bytes",
                    "limits.tool.hostcall_fuel_bytes",
                ),
                allowed: self.hostcall_fuel_bytes as u64,
            });
        }
        self.denied.clone()
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.section.name(
            "limits.agent.max_memory_bytes",
            "limits.tool.max_memory_bytes",
        );
        let growth = desired.saturating_sub(current);
        let grown = grow(&mut self.memory_bytes, growth, self.max_memory_bytes, limit);
        Ok(grown.map_err(|hit| self.denied = Some(hit)).is_ok())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.section.name(
            "limits.agent.max_table_elements",
            "limits.tool.max_table_elements",
        );
        let growth = desired.saturating_sub(current);
        let grown = grow(
            &mut self.table_elements,
            growth,
            self.max_table_elements,
            limit,
        );
        Ok(grown.map_err(|hit| self.denied = Some(hit)).is_ok())
    }
}

/// Adds `growth` to `used` unless that goes beyond what is `allowed`.
fn grow(
    used: &mut usize,
    growth: usize,
    allowed: usize,
    limit: &'static str,
) -> Result<(), LimitHit> {
    let total = used.saturating_add(growth);
    if total > allowed {
        return Err(LimitHit {
            limit,
            allowed: allowed as u64,
        });
    }
    *used = total;
    Ok(())
}

fn ticks(cpu_ms: u64) -> u64 {
    cpu_ms.div_ceil(TICK_MS).max(1)
}

/// Runs `future` for at most `limit_ms`.
pub(crate) async fn within<F: Future>(
    limit_ms: u64,
    limit: &'static str,
    future: F,
) -> Result<F::Output, LimitHit> {
    tokio::time::timeout(Duration::from_millis(limit_ms), future)
        .await
        .map_err(|_elapsed| LimitHit {
            limit,
            allowed: limit_ms,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_add_up_and_a_denied_growth_is_remembered() {
        let mut limits = Limits::default();
        limits.agent.max_memory_bytes = 100;
        let mut meter = Meter::for_agent(&limits);
        assert!(meter.memory_growing(0, 60, None).expect("no trap"));
        assert!(meter.memory_growing(0, 40, None).expect("no trap"));
        assert!(meter.denied.is_none());
        assert!(!meter.memory_growing(40, 41, None).expect("no trap"));
        assert_eq!(
            meter.denied.expect("a limit").limit,
            "limits.agent.max_memory_bytes"
        );
    }

    #[test]
    fn ticks_past_the_allowance_end_the_guest() {
        let mut limits = Limits::default();
        limits.tool.cpu_ms = 20;
        let mut meter = Meter::for_tool(&limits);
        assert!(meter.tick().is_ok() && meter.tick().is_ok());
        let error = meter.tick().err().expect("the third tick");
        let hit = meter.limit_behind(&error).expect("a limit");
        assert_eq!((hit.limit, hit.allowed), ("limits.tool.cpu_ms", 20));
        meter.restart_clock();
        assert!(meter.tick().is_ok());
    }

    #[test]
    fn an_unknown_limit_is_refused() {
        let error = toml::from_str::<Limits>("[agent]\ncpu = 3").expect_err("no such key");
        assert!(error.to_string().contains("unknown field `cpu`"), "{error}");
    }

    #[test]
    fn tables_add_up_as_well() {
        let mut limits = Limits::default();
        limits.tool.max_table_elements = 100;
        let mut meter = Meter::for_tool(&limits);
        assert!(meter.table_growing(0, 60, None).expect("no trap"));
        assert!(!meter.table_growing(0, 41, None).expect("no trap"));
        assert_eq!(
            meter.denied.take().expect("a limit").limit,
            "limits.tool.max_table_elements"
        );
        assert!(meter.table_growing(60, 100, None).expect("no trap"));
    }
}
