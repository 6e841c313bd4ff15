//! What a component binary is, before anything compiles it: its imports wherever they stand, its exports,
//! and the class that it fits.
//!
//! An agent component is refused here, by the name of what it imports, and not by a check at run time. This
//! module does not compile, link or run anything, and it does not decide what is granted: a component that
//! fits the trusted class still gets only what the operator's manifest gives it.

mod contract;
mod cost;
mod digest;
mod fault;
mod interface;
mod place;
mod refusal;
mod shape;
mod walk;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wasmparser::WasmFeatures;

pub use cost::TooCostly;
pub use digest::{Digest, NotADigest};
pub use fault::{LooksLike, NotAComponent};
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
    let agent_refusal = refusal::refusal(
        Class::Agent,
        &findings,
        TooCostly::of(findings.cost, limits),
    );
    let tool_refusal = refusal::refusal(Class::Tool, &findings, None);
    let class = match (&agent_refusal, &tool_refusal) {
        (None, _) => Fit::Agent,
        (Some(_), None) => Fit::NeedsTrust {
            authority: contract::authority(&findings.imports),
        },
        (Some(agent), Some(tool)) => Fit::NoClass {
            reasons: vec![agent.to_string(), tool.to_string()],
        },
    };
    Ok(Inspection {
        digest: Digest::of(bytes),
        size_bytes: bytes.len(),
        class,
        imports: findings.imports,
        exports: findings.exports.into_keys().collect(),
        agent_refusal,
        tool_refusal,
    })
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

/// How much of a file the inspection is willing to look at, and what it lets through to the compiler.
///
/// Nothing can interrupt the compiler, so what an agent supplies is bounded before it. The worst
/// function that was found to pass took the compiler 4 s and 300 MB, and 8,000,000 in all is 16 of those: half a minute
/// on two cores. Without these limits, one function of 22 kB took 40 s and one of 12 kB over a minute. The sandbox is
/// of 1,464 functions, the costliest of 220,081, together of 2,704,533.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InspectionLimits {
    /// The size of the file, in bytes.
    pub max_bytes: usize,
    /// The size of one function, in bytes. The largest of the built-in components has 51,117; of tools written in Python,
    /// whose interpreter is part of them, 426,843.
    pub max_function_bytes: usize,
    /// The size of a file of the agent class, in bytes.
    pub max_agent_bytes: usize,
    /// What compiling one function of the agent class may cost: about its branches times its variables.
    pub max_agent_function_cost: u64,
    /// What compiling all functions of a component of the agent class may cost together.
    pub max_agent_cost: u64,
    /// How deep components may stand in one another; the outermost is at depth 0.
    pub max_depth: usize,
    /// Nested components and core modules together.
    pub max_parts: usize,
    /// Imports, at every place together.
    pub max_imports: usize,
}

impl Default for InspectionLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_function_bytes: 1 << 20,
            max_agent_bytes: 16 << 20,
            max_agent_function_cost: 500_000,
            max_agent_cost: 8_000_000,
            max_depth: 32,
            max_parts: 1_000,
            max_imports: 10_000,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
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

/// `text` from a binary, fit for one line of a message: escaped and of bounded length.
fn plain(text: &str) -> String {
    const MAX_CHARS: usize = 160;
    let mut shown: String = text
        .chars()
        .take(MAX_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
