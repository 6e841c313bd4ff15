//! The WebAssembly features that the host accepts.

use wasmparser::WasmFeatures;

/// The WebAssembly features that a component may use.
///
/// The engine has to be configured with the same set, so that inspection and compilation agree:
/// `config.wasm_features(accepted_features(), true)` and
/// `config.wasm_features(WasmFeatures::WASM3.difference(accepted_features()), false)`.
///
/// It is WebAssembly 2.0 with what today's compilers emit on top of it. Left out: threads and
/// asynchronous components (a guest has one thread of control, which the CPU limit counts), garbage
/// collection, exceptions and `externref` (memory that the limits do not meter) and 64-bit memories
/// (address space that the pooling allocator does not reserve).
#[must_use]
pub fn accepted_features() -> WasmFeatures {
    WasmFeatures::WASM2
        .union(WasmFeatures::TAIL_CALL)
        .union(WasmFeatures::EXTENDED_CONST)
        .union(WasmFeatures::MULTI_MEMORY)
        .union(WasmFeatures::RELAXED_SIMD)
        .union(WasmFeatures::COMPONENT_MODEL)
        .difference(WasmFeatures::GC_TYPES)
}
