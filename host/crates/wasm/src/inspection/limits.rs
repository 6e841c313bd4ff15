//! `[limits.component]` of the configuration.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// Limits of the inspection, and of the worker that inspects and compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InspectionLimits {
    /// The largest file, in bytes.
    pub max_bytes: usize,
    /// The largest function, in bytes. The largest one in the built-in components has 51,117. Tools
    /// in Python contain the interpreter, whose largest has 426,843.
    pub max_function_bytes: usize,
    /// The deepest nesting of components. The outermost component has depth 0.
    pub max_depth: usize,
    /// The most nested components and core modules together.
    pub max_parts: usize,
    /// The most imports, at all places together.
    pub max_imports: usize,
    /// The most types. Types inside instances count again for each instance.
    pub max_expanded_types: u64,
    /// The most instances. Instances inside components count again for each instantiation.
    pub max_expanded_instances: u64,
    /// CPU time of one worker, in milliseconds, rounded up to seconds.
    pub worker_cpu_ms: NonZeroU64,
    /// Wall-clock time of one worker, in milliseconds.
    pub worker_wall_clock_ms: NonZeroU64,
    /// Memory of one worker, in bytes.
    pub worker_memory_bytes: NonZeroU64,
    /// The largest compiled code of a component, in bytes.
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
