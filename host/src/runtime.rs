//! Everything that touches wasmtime: one engine, two linkers, and the loading of components into one of two classes.
//!
//! What a loaded component may call is decided by which linker it was given, once, here. What the calls do is in
//! `capability`.

pub(crate) mod agent;
pub(crate) mod bindings;
mod engine;
pub mod inspection;
pub mod limits;
pub(crate) mod tool;

use std::path::Path;

use wasmtime::component::{Component, Linker};

use agent::{AgentComponent, AgentState};
use bindings::TrustedToolPre;
use engine::TickingEngine;
use inspection::{Class, Digest, Inspection, InspectionLimits, NotAComponent, Refusal};
use limits::Limits;
use tool::ToolState;

/// Why a component was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are something else.
    #[error(transparent)]
    NotAComponent(#[from] NotAComponent),
    /// It imports or exports what its class may not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is another one than the operator listed.
    #[error("the component's digest is {found}, and tavora.toml expects {expected}")]
    DigestDiffers {
        /// What the operator listed.
        expected: Digest,
        /// What the file has.
        found: Digest,
    },
    /// A type of an import or export is not the one in `wit/`, or the engine cannot run it.
    #[error("the component does not fit its class: {0:#}")]
    DoesNotFit(wasmtime::Error),
}

/// The engine and the two linkers of a host.
pub(crate) struct Runtime {
    engine: TickingEngine,
    agents: Linker<AgentState>,
    tools: Linker<ToolState>,
    inspection: InspectionLimits,
}

impl Runtime {
    pub(crate) fn start(limits: &Limits, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        let engine = TickingEngine::start(limits, cache_dir)?;
        Ok(Self {
            agents: agent::linker(engine.engine())?,
            tools: tool::linker(engine.engine())?,
            engine,
            inspection: limits.component,
        })
    }

    /// Loads something that an agent supplied.
    pub(crate) fn load_agent(&self, bytes: &[u8]) -> Result<AgentComponent, LoadError> {
        let (_, component) = self.compile(bytes, Class::Agent, None)?;
        agent::prepare(&self.agents, &component).map_err(LoadError::DoesNotFit)
    }

    /// Loads something that the operator listed.
    pub(crate) fn load_tool(
        &self,
        bytes: &[u8],
        expected: Option<Digest>,
    ) -> Result<(Digest, TrustedToolPre<ToolState>), LoadError> {
        let (inspection, component) = self.compile(bytes, Class::Tool, expected)?;
        let pre = tool::prepare(&self.tools, &component).map_err(LoadError::DoesNotFit)?;
        Ok((inspection.digest, pre))
    }

    /// Compiles `bytes` after, and only after, inspection has found that they fit `class`.
    fn compile(
        &self,
        bytes: &[u8],
        class: Class,
        expected: Option<Digest>,
    ) -> Result<(Inspection, Component), LoadError> {
        let inspection = inspection::inspect(bytes, &self.inspection)?;
        if let Some(expected) = expected.filter(|expected| *expected != inspection.digest) {
            return Err(LoadError::DigestDiffers {
                expected,
                found: inspection.digest,
            });
        }
        if let Some(refusal) = inspection.refusal_for(class) {
            return Err(refusal.into());
        }
        let component = Component::new(self.engine.engine(), bytes).map_err(LoadError::DoesNotFit)?;
        Ok((inspection, component))
    }
}
