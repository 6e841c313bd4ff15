//! Limits of runs and tool calls: the name, the default and the setting of each, and the error when
//! one is reached.
//!
//! The names are the keys of `[limits]`, `[limits.agent]` and `[limits.tool]` in `tavora.toml`.
//! Limits of outbound requests belong to the egress policy.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tavora_openapi::DocumentLimits;
use wasmtime::component::ResourceTableError;
use wasmtime::{ResourceLimiter, Trap, UpdateDeadline};

use super::inspection::InspectionLimits;

/// The interval in which the engine's epoch advances, which is the resolution of CPU time.
pub const TICK_MS: u64 = 10;

/// The limits of one host process.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Component instances at once, of agents and tools together; one more is refused and may be
    /// tried again. Runs in components that agents supplied have as many of their own.
    pub max_instances: u32,
    /// Core instances that one component may be composed of.
    pub max_core_instances: u32,
    /// Linear memories that one component may have.
    pub max_memories: u32,
    /// Tables that one component may have.
    pub max_tables: u32,
    /// Native stack of a guest, which bounds its recursion.
    pub max_stack_bytes: usize,
    /// Workers that inspect and compile components at once; further components wait.
    pub max_concurrent_compilations: NonZeroUsize,
    /// How large and how deep a component may be, and what its worker may use.
    pub component: InspectionLimits,
    /// What one run of an agent may use.
    pub agent: AgentLimits,
    /// What one call to a trusted tool may use.
    pub tool: ToolLimits,
    /// What one request may use that a trusted tool answers over HTTP, such as a chat completion.
    /// `[limits.tool]` holds as well, except its wall clock and the size of its answer.
    pub stream: StreamLimits,
    /// What one call to an MCP server may use. `[limits.tool]` holds as well, except its wall
    /// clock.
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
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Runs that one app may have at once over the HTTP API; one more is answered 429.
    pub max_runs_per_app: u32,
    /// The time of one run from start to end, calls of tools included.
    pub wall_clock_ms: u64,
    /// Time in the agent's own code, counted in ticks of 10 ms.
    pub cpu_ms: u64,
    /// All linear memories of the run together.
    pub max_memory_bytes: usize,
    /// Elements in all tables of the run together.
    pub max_table_elements: usize,
    /// The bytes that one host call may copy out of the guest.
    pub hostcall_fuel_bytes: usize,
    /// The agent's program.
    pub max_code_bytes: usize,
    /// The run's input, and the input of one tool call.
    pub max_input_bytes: usize,
    /// The run's result.
    pub max_output_bytes: usize,
    /// All lines of the run's log together.
    pub max_log_bytes: usize,
    /// The most tool calls in one run.
    pub max_tool_calls: u32,
    /// Calls of tools under way at the same time in one run.
    pub max_concurrent_calls: usize,
    /// The answers to one list of calls together.
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
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolLimits {
    /// The time of one call from start to end, upstream included.
    pub wall_clock_ms: u64,
    /// Time in the tool's own code, counted in ticks of 10 ms.
    pub cpu_ms: u64,
    /// All linear memories of the instance together.
    pub max_memory_bytes: usize,
    /// Elements in all tables of the instance together.
    pub max_table_elements: usize,
    /// The bytes that one host call may copy out of the guest.
    pub hostcall_fuel_bytes: usize,
    /// The most host resources (streams, requests, …) that an instance may hold at once.
    pub max_resources: usize,
    /// The answer to one call.
    pub max_output_bytes: usize,
    /// The text that one instance may write to its log; the rest is dropped.
    pub max_log_bytes: usize,
    /// The most refused requests of one call with an audit entry each. The rest share one entry.
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
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamLimits {
    /// Requests that tools answer over HTTP at once; one more is refused and may be tried again.
    /// They count as instances, too.
    pub max_concurrent: usize,
    /// Requests of one app among them; one more is answered 429.
    pub max_per_app: u32,
    /// The longest time without the head or another piece of the answer.
    pub idle_ms: u64,
    /// The time of one request from start to end.
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
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpLimits {
    /// The longest silence of a server; as long as anything comes, the call goes on. It takes the
    /// place of `first_byte_timeout_ms` and `idle_timeout_ms` of `[egress.limits]`.
    pub idle_ms: NonZeroU64,
    /// The time of one call from start to end. The run's own `limits.agent.wall_clock_ms` holds as
    /// well.
    pub wall_clock_ms: u64,
    /// The time to tell a server that a session has ended; no run waits for it.
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
    /// The limit's value, in the unit of the key.
    pub allowed: u64,
}

/// The section of `[limits]` that a meter names in its errors.
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

/// Meters the memory, the tables and the CPU ticks of a guest.
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

    /// Starts a new count of CPU time, before the next call into the same instance.
    pub(crate) fn restart_clock(&mut self) {
        self.ticks = 0;
        self.denied = None;
    }

    /// Counts an epoch tick in guest code.
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

    /// Returns the limit behind `error`, if there is one. A trap after a denied growth counts as
    /// caused by it, because the real cause cannot be known.
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
        // wasmtime has no type for this error.
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

/// Adds `growth` to `used`, unless the sum exceeds `allowed`.
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
