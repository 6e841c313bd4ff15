//! `[limits.component]` of the configuration.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of a file the inspection is willing to look at, and what the worker may use that
/// inspects and compiles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InspectionLimits {
    /// The size of a component's file.
    pub max_bytes: usize,
    // The largest function of the built-in components has 51,117 bytes; of tools written in Python,
    // whose interpreter is part of them, 426,843.
    /// The size of one function.
    pub max_function_bytes: usize,
    /// The depth of components in one another; the outermost is at depth 0.
    pub max_depth: usize,
    /// The most nested components and core modules together.
    pub max_parts: usize,
    /// The most imports, at all places together.
    pub max_imports: usize,
    /// Types. Those inside instances are counted each time that an instance of them is made.
    pub max_expanded_types: u64,
    /// Instances. Those inside components are counted each time that a component is instantiated.
    pub max_expanded_instances: u64,
    /// Processor time of one worker, which inspects and compiles a component that others supply. It
    /// is counted in whole seconds.
    pub worker_cpu_ms: NonZeroU64,
    /// The time of one worker from start to end.
    pub worker_wall_clock_ms: NonZeroU64,
    /// Memory of one worker.
    pub worker_memory_bytes: NonZeroU64,
    /// The code that a component may compile to.
    pub max_compiled_bytes: NonZeroU64,
}

impl Default for InspectionLimits {
    fn default() -> Self {
        let positive = |n| NonZeroU64::new(n).expect("it is above zero");
        Self {
            max_bytes: 64 << 20,
            max_function_bytes: 1 << 20,
            max_depth: 32,
            max_parts: 1_000,
            max_imports: 10_000,
            max_expanded_types: 100_000,
            max_expanded_instances: 1_000,
            worker_cpu_ms: positive(180_000),
            worker_wall_clock_ms: positive(900_000),
            worker_memory_bytes: positive(2 << 30),
            max_compiled_bytes: positive(256 << 20),
        }
    }
}
