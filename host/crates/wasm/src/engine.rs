//! The wasmtime engines of a host: their configuration, the cache of compiled components, and the
//! ticker for CPU limits.
//!
//! Nothing is linked here. The linkers in `agent` and `tool` decide what a component can call.

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

/// Native stack for the host functions that a guest calls, in addition to the guest's own stack.
const HOST_STACK_BYTES: usize = 1 << 20;

/// The origin of the components that an engine compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiles {
    /// Components that the operator chose: built-in ones and listed tools. Their code is fully
    /// optimised.
    Chosen,
    /// Components that an agent supplied. They are compiled without optimisations and with the
    /// simple register allocator, because a function of a few kilobytes can otherwise take minutes
    /// to compile. The code is slower.
    Supplied,
}

impl Compiles {
    /// Returns who chooses the components of this class.
    pub(super) fn of(class: Class) -> Self {
        match class {
            Class::Agent => Self::Supplied,
            Class::Tool => Self::Chosen,
        }
    }

    /// Sets the options that differ from the common ones. Supplied components get no memory and
    /// table images, because a few bytes can describe large ones.
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

/// Returns an engine that compiles and links like a host's engine with these limits, with room for
/// one instance. Compiled code is kept in `cache_dir`.
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

/// An engine with a thread that advances its epoch every [`TICK_MS`]. Dropping it ends the thread.
pub(crate) struct TickingEngine {
    engine: Engine,
    stopped: Arc<AtomicBool>,
}

impl TickingEngine {
    /// Starts the engine. Compiled components are kept in `cache_dir`, which must be as private as
    /// the database: its content runs as native code.
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
    // A component may have several core instances, so the pools for core items are larger.
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

/// The part of a returned stack that is zeroed in place, in bytes. The rest is returned to the
/// kernel.
const STACK_KEEP_RESIDENT_BYTES: usize = 16 << 10;
/// The part of a returned memory that is zeroed in place, in bytes. The rest is returned to the
/// kernel.
const MEMORY_KEEP_RESIDENT_BYTES: usize = 4 << 20;
/// The part of a returned table that is zeroed in place, in bytes. The rest is returned to the
/// kernel.
const TABLE_KEEP_RESIDENT_BYTES: usize = 64 << 10;
