//! Inspects a component's binary before anything compiles it: its imports at any depth, its
//! exports, and the class that it fits.
//!
//! An agent component is refused here, by the names of its imports, and not by a check at run time.
//! This module does not compile, link or run anything, and grants nothing: a component that fits
//! the trusted class still gets only the operator's grants.

mod class;
mod contract;
mod digest;
mod expansion;
mod fault;
mod features;
mod handed;
mod import;
mod interface;
mod limits;
mod place;
mod refusal;
mod shape;
mod walk;

use std::collections::BTreeSet;

use serde::Serialize;

pub use class::Class;
pub use digest::{Digest, NotADigest};
pub use fault::{LooksLike, NotAComponent};
pub use features::accepted_features;
pub(super) use handed::HandedInspection;
pub use import::{ImportFound, ImportKind};
pub use limits::InspectionLimits;
pub use place::Place;
pub use refusal::{Objection, Refusal};

/// Inspects all of `bytes`.
///
/// ```
/// use tavora_wasm::inspection::{InspectionLimits, NotAComponent, inspect};
///
/// let page = b"<!doctype html><title>404</title>";
/// let error = inspect(page, &InspectionLimits::default()).unwrap_err();
/// assert!(matches!(error, NotAComponent::NotWasm { .. }));
/// ```
///
/// # Errors
///
/// [`NotAComponent`] if the bytes are not a valid component of the features that the host supports,
/// or exceed `limits`. A valid component that fits no class is not an error: see [`Fit::NoClass`].
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

/// Returns the class of a component with these imports. Each argument is the reason why a class
/// refuses it.
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

/// The result of an inspection.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The SHA-256 of the binary.
    pub digest: Digest,
    pub size_bytes: usize,
    pub class: Fit,
    /// Everything that the component imports or mentions as an interface, in the order of the
    /// binary.
    pub imports: Vec<ImportFound>,
    /// The names of the top-level exports.
    pub exports: Vec<String>,
    #[serde(skip)]
    agent_refusal: Option<Refusal>,
    #[serde(skip)]
    tool_refusal: Option<Refusal>,
}

impl Inspection {
    /// Returns the interfaces that are imported or mentioned at any depth, each once, in the order
    /// of the binary. Names that are no interface are left out: they only connect the component's
    /// own parts.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let names = self.imports.iter().map(|import| import.name.as_str());
        names
            .filter(|name| name.contains(':') && seen.insert(*name))
            .collect()
    }

    /// The class that the component would be loaded as.
    pub(super) fn loads_as(&self) -> Option<Class> {
        match self.class {
            Fit::Agent => Some(Class::Agent),
            Fit::NeedsTrust { .. } => Some(Class::Tool),
            Fit::NoClass { .. } => None,
        }
    }

    /// Records that the engine refuses the component as one of `class`, with the `reason`.
    pub(super) fn refuse(&mut self, class: Class, reason: String) {
        let refusal = Some(Refusal::by_the_engine(class, reason));
        match class {
            Class::Agent => self.agent_refusal = refusal,
            Class::Tool => self.tool_refusal = refusal,
        }
        let (agent, tool) = (self.agent_refusal.as_ref(), self.tool_refusal.as_ref());
        self.class = fit(&self.imports, agent, tool);
    }

    /// Returns why the component may not be loaded as `class`, or `None` if it may.
    #[must_use]
    pub fn refusal_for(&self, class: Class) -> Option<Refusal> {
        match class {
            Class::Agent => self.agent_refusal.clone(),
            Class::Tool => self.tool_refusal.clone(),
        }
    }
}

/// The class that a component fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fits", rename_all = "kebab-case")]
pub enum Fit {
    /// The component can only call tools, so anybody may supply it.
    Agent,
    /// The component fits the class of trusted tools, so the operator has to trust it.
    NeedsTrust {
        /// The authority of the component if the operator granted all of its imports, one phrase
        /// each.
        authority: Vec<String>,
    },
    /// The component cannot be loaded.
    NoClass {
        /// One sentence for each class.
        reasons: Vec<String>,
    },
}

#[cfg(test)]
mod tests;
