//! What a component binary is, before anything compiles it: its imports wherever they stand, its exports,
//! and the class that it fits.
//!
//! An agent component is refused here, by the name of what it imports, and not by a check at run time. This
//! module does not compile, link or run anything, and it does not decide what is granted: a component that
//! fits the trusted class still gets only what the operator's manifest gives it.

mod contract;
mod digest;
mod expansion;
mod fault;
mod handed;
mod interface;
mod place;
mod refusal;
mod shape;
mod walk;

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use wasmparser::WasmFeatures;

pub use digest::{Digest, NotADigest};
pub use fault::{LooksLike, NotAComponent};
pub(super) use handed::HandedInspection;
pub use place::Place;
pub use refusal::{Objection, Refusal};

/// Looks at the whole of `bytes` and says what it is.
///
/// ```
/// use tavora_host::runtime::inspection::{InspectionLimits, NotAComponent, inspect};
///
/// let page = b"<!doctype html><title>404</title>";
/// let error = inspect(page, &InspectionLimits::default()).unwrap_err();
/// assert!(matches!(error, NotAComponent::NotWasm { .. }));
/// ```
///
/// # Errors
///
/// [`NotAComponent`] when the bytes are not a valid component of the features that the host runs, or go
/// beyond `limits`. A valid component that fits no class is not an error: see [`Fit::NoClass`].
pub fn inspect(bytes: &[u8], limits: &InspectionLimits) -> Result<Inspection, NotAComponent> {
    fault::check_form(bytes, limits)?;
    let findings = walk::walk(bytes, limits)?;
    let agent_refusal = refusal::refusal(Class::Agent, &findings);
    let tool_refusal = refusal::refusal(Class::Tool, &findings);
    Ok(Inspection {
        digest: Digest::of(bytes),
        size_bytes: bytes.len(),
        class: fit(
            &findings.imports,
            agent_refusal.as_ref(),
            tool_refusal.as_ref(),
        ),
        imports: findings.imports,
        exports: findings.exports.into_keys().collect(),
        agent_refusal,
        tool_refusal,
    })
}

/// The class of a component with these imports, which each class refuses for this reason.
fn fit(imports: &[ImportFound], agent: Option<&Refusal>, tool: Option<&Refusal>) -> Fit {
    match (agent, tool) {
        (None, _) => Fit::Agent,
        (Some(_), None) => Fit::NeedsTrust {
            authority: contract::authority(imports),
        },
        (Some(agent), Some(tool)) => Fit::NoClass {
            reasons: vec![agent.to_string(), tool.to_string()],
        },
    }
}

/// The WebAssembly features that a component may use.
///
/// The engine has to be configured with the same set, so that inspection and compilation agree:
/// `config.wasm_features(accepted_features(), true)` and
/// `config.wasm_features(WasmFeatures::WASM3.difference(accepted_features()), false)`.
///
/// It is WebAssembly 2.0 with what today's compilers emit on top of it. Left out: threads and asynchronous
/// components (a guest has one thread of control, which the CPU limit counts), garbage collection, exceptions
/// and `externref` (memory that the limits do not meter) and 64-bit memories (address space that the pooling
/// allocator does not reserve).
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

/// How much of a file the inspection is willing to look at, and what the worker may use that inspects and compiles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InspectionLimits {
    /// The size of the file, in bytes.
    pub max_bytes: usize,
    /// The size of one function, in bytes. The largest of the built-in components has 51,117; of tools written in Python,
    /// whose interpreter is part of them, 426,843.
    pub max_function_bytes: usize,
    /// How deep components may stand in one another; the outermost is at depth 0.
    pub max_depth: usize,
    /// Nested components and core modules together.
    pub max_parts: usize,
    /// Imports, at every place together.
    pub max_imports: usize,
    /// Types, with those inside instances counted each time that an instance of them is made.
    pub max_expanded_types: u64,
    /// Instances, with those inside components counted each time that a component is instantiated.
    pub max_expanded_instances: u64,
    /// Processor time of one worker, in milliseconds, in grains of a second.
    pub worker_cpu_ms: NonZeroU64,
    /// From start to end of one worker, in milliseconds.
    pub worker_wall_clock_ms: NonZeroU64,
    /// Memory of one worker, in bytes.
    pub worker_memory_bytes: NonZeroU64,
    /// The code that a component may compile to, in bytes.
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

/// What a component is.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// SHA-256 of the binary.
    pub digest: Digest,
    /// The size of the binary.
    pub size_bytes: usize,
    /// The class that it fits.
    pub class: Fit,
    /// Everything that it imports or names as an interface, in the order of the binary.
    pub imports: Vec<ImportFound>,
    /// The names that it exports at the top level.
    pub exports: Vec<String>,
    #[serde(skip)]
    agent_refusal: Option<Refusal>,
    #[serde(skip)]
    tool_refusal: Option<Refusal>,
}

impl Inspection {
    /// The interfaces that it imports or names, wherever that stands, each once, in the order of the binary. Names that
    /// are no interface only tie the component's own parts together.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let names = self.imports.iter().map(|import| import.name.as_str());
        names
            .filter(|name| name.contains(':') && seen.insert(*name))
            .collect()
    }

    /// The class as which it would be loaded.
    pub(super) fn loads_as(&self) -> Option<Class> {
        match self.class {
            Fit::Agent => Some(Class::Agent),
            Fit::NeedsTrust { .. } => Some(Class::Tool),
            Fit::NoClass { .. } => None,
        }
    }

    /// Notes that the engine refuses the component as one of `class`, for this `reason`.
    pub(super) fn refuse(&mut self, class: Class, reason: String) {
        let refusal = Some(Refusal::by_the_engine(class, reason));
        match class {
            Class::Agent => self.agent_refusal = refusal,
            Class::Tool => self.tool_refusal = refusal,
        }
        let (agent, tool) = (self.agent_refusal.as_ref(), self.tool_refusal.as_ref());
        self.class = fit(&self.imports, agent, tool);
    }

    /// Why the component may not be loaded as `class`; `None` when it may.
    #[must_use]
    pub fn refusal_for(&self, class: Class) -> Option<Refusal> {
        match class {
            Class::Agent => self.agent_refusal.clone(),
            Class::Tool => self.tool_refusal.clone(),
        }
    }
}

/// Something that a component takes from outside, or a name by which it passes an interface around inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportFound {
    /// The name as it stands in the binary.
    pub name: String,
    /// What is imported under that name.
    pub kind: ImportKind,
    /// Where in the component it stands.
    pub place: Place,
    /// What is wrong with its type, whatever the class.
    #[serde(skip)]
    type_fault: Option<String>,
}

/// What an import brings in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// An instance of an interface.
    Instance,
    /// One function.
    Function,
    /// A type.
    Type,
    /// A component.
    Component,
    /// A core module.
    CoreModule,
    /// A value.
    Value,
    /// The module name of imports of a core module.
    CoreImport,
    /// The name of an interface in an alias, an instance or the arguments of an instantiation.
    Mention,
}

/// The two classes of `wit/world.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What an agent supplies: it can call tools and nothing else.
    Agent,
    /// What the operator lists: it can ask for credentials.
    Tool,
}

/// The class that a component fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fits", rename_all = "kebab-case")]
pub enum Fit {
    /// It has nothing but tools, so anybody may supply it.
    Agent,
    /// It fits a trusted tool: somebody has to trust it with this.
    NeedsTrust {
        /// What it could do if the operator granted all that it imports, one phrase each.
        authority: Vec<String>,
    },
    /// It cannot be loaded.
    NoClass {
        /// One sentence for each class.
        reasons: Vec<String>,
    },
}

#[cfg(test)]
mod tests;
