//! The wasmtime engines of a host: their configuration, the compiled-component cache and the ticker
//! that drives CPU limits.
//!
//! It links nothing: what a component can reach is decided by the two linkers in `agent` and
//! `tool`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmparser::WasmFeatures;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel,
    PoolingAllocationConfig, RegallocAlgorithm,
};

use super::inspection::{Class, accepted_features};
use super::limits::{Limits, TICK_MS};

/// Native stack beyond the guest's own, for the host functions that it calls.
const HOST_STACK_BYTES: usize = 1 << 20;

/// What an engine compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiles {
    /// What the operator chose: the built-in components and the listed tools. The code is as fast
    /// as it can be.
    Chosen,
    /// What an agent supplied. A function of a few kilobytes keeps the compiler's optimisations and
    /// its better register allocation busy for minutes; so this is without them. The code is
    /// slower.
    Supplied,
}

impl Compiles {
    /// What is compiled for a class that others supply.
    pub(super) fn of(class: Class) -> Self {
        match class {
            Class::Agent => Self::Supplied,
            Class::Tool => Self::Chosen,
        }
    }

    /// What this compiles with, beside what all engines have. Images of memories and tables are
    /// left out of what agents supply: a few bytes describe large ones.
    fn configure(self, config: &mut Config) {
        if self == Self::Supplied {
            config
                .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
                .cranelift_opt_level(OptLevel::None)
                .table_lazy_init(false)
                .memory_guaranteed_dense_image_size(0);
        }
    }
}

/// An engine that compiles and links like that of a host with these limits, and has room for one
/// instance. What it compiles is kept in `cache_dir`.
pub(super) fn for_one(
    compiles: Compiles,
    limits: &Limits,
    cache_dir: Option<&Path>,
) -> wasmtime::Result<Engine> {
    let alone = Limits {
        max_instances: 1,
        ..limits.clone()
    };
    let mut config = config(&alone, cache_dir)?;
    compiles.configure(&mut config);
    Engine::new(&config)
}

/// An engine whose epoch advances every [`TICK_MS`] for as long as this lives.
pub(crate) struct TickingEngine {
    engine: Engine,
    stopped: Arc<AtomicBool>,
}

impl TickingEngine {
    /// Makes the engine. Compiled components are kept in `cache_dir`, which must be as private as
    /// the database: what is in it runs as native code.
    pub(crate) fn start(
        compiles: Compiles,
        limits: &Limits,
        cache_dir: &Path,
    ) -> wasmtime::Result<Self> {
        let mut config = config(limits, Some(cache_dir))?;
        compiles.configure(&mut config);
        let engine = Engine::new(&config)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let ticker = (engine.weak(), Arc::clone(&stopped));
        std::thread::Builder::new()
            .name("epoch-ticker".to_owned())
            .spawn(move || {
                let (engine, stopped) = ticker;
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(TICK_MS));
                    let Some(engine) = engine.upgrade() else {
                        break;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { engine, stopped })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for TickingEngine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn config(limits: &Limits, cache_dir: Option<&Path>) -> wasmtime::Result<Config> {
    let mut pool = PoolingAllocationConfig::default();
    let max_memory_bytes = limits
        .agent
        .max_memory_bytes
        .max(limits.tool.max_memory_bytes);
    let max_table_elements = limits
        .agent
        .max_table_elements
        .max(limits.tool.max_table_elements);
    // A component may hold several core instances, so the pools of core things are larger.
    let core_slots = limits.max_instances.saturating_mul(4);
    let memories = limits.max_instances.saturating_mul(2);
    pool.total_component_instances(limits.max_instances)
        .total_stacks(limits.max_instances)
        .total_core_instances(core_slots.max(limits.max_core_instances))
        .total_memories(memories.max(limits.max_memories))
        .total_tables(core_slots.max(limits.max_tables))
        .max_core_instances_per_component(limits.max_core_instances)
        .max_memories_per_component(limits.max_memories)
        .max_memories_per_module(limits.max_memories)
        .max_tables_per_component(limits.max_tables)
        .max_tables_per_module(limits.max_tables)
        .max_memory_size(max_memory_bytes)
        .table_elements(max_table_elements)
        .max_core_instance_size(4 << 20)
        .decommit_batch_size(1)
        .async_stack_keep_resident(STACK_KEEP_RESIDENT_BYTES)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(limits.max_stack_bytes)
        .async_stack_size(limits.max_stack_bytes + HOST_STACK_BYTES)
        .async_stack_zeroing(true)
        .wasm_features(WasmFeatures::WASM3.difference(accepted_features()), false)
        .wasm_features(accepted_features(), true)
        .wasm_backtrace_max_frames(None);
    if let Some(directory) = cache_dir {
        let mut cache = CacheConfig::new();
        cache.with_directory(directory);
        config.cache(Some(Cache::new(cache)?));
    }
    Ok(config)
}

/// Bytes of a returned stack that are zeroed in place; the rest goes back to the kernel.
const STACK_KEEP_RESIDENT_BYTES: usize = 16 << 10;
/// Bytes of a returned memory that are zeroed in place; the rest goes back to the kernel.
const MEMORY_KEEP_RESIDENT_BYTES: usize = 4 << 20;
/// Bytes of a returned table that are zeroed in place; the rest goes back to the kernel.
const TABLE_KEEP_RESIDENT_BYTES: usize = 64 << 10;
