//! Everything that touches wasmtime: the engines, the linkers, and the loading of components into one of two classes.
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
use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};

use agent::{AgentComponent, AgentState};
use bindings::TrustedToolPre;
use engine::{Compiles, TickingEngine};
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
    /// It is made of too many core instances.
    #[error(
        "the component holds more core instances than limits.max_core_instances ({allowed}) allows: compose it of fewer or raise the limit"
    )]
    TooManyCoreInstances {
        /// How many there may be.
        allowed: u32,
    },
    /// The compiler panicked.
    #[error("the component could not be compiled: the compiler stopped unexpectedly")]
    CompilerStopped,
}

/// The engines of a host, with a linker for each of the two classes.
pub(crate) struct Runtime {
    agents: Loader<AgentState>,
    tools: Loader<ToolState>,
    supplied: Arc<Loader<AgentState>>,
    /// Of compilations of what agents supplied.
    turns: Arc<Semaphore>,
    /// Advances the epoch of `agents` and `tools`.
    _chosen: TickingEngine,
    /// Advances the epoch of `supplied`.
    _supplied: TickingEngine,
}

/// What turns the bytes of one class into something that can be instantiated.
struct Loader<T: 'static> {
    class: Class,
    linker: Linker<T>,
    inspection: InspectionLimits,
    max_core_instances: u32,
}

impl Runtime {
    pub(crate) fn start(limits: &Limits, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        let chosen = TickingEngine::start(Compiles::Chosen, limits, cache_dir)?;
        let supplied = TickingEngine::start(Compiles::Supplied, limits, cache_dir)?;
        let agents = |engine: &TickingEngine| -> wasmtime::Result<_> {
            let linker = agent::linker(engine.engine())?;
            Ok(Loader::new(Class::Agent, linker, limits))
        };
        let turns = limits.max_concurrent_compilations.get();
        Ok(Self {
            agents: agents(&chosen)?,
            tools: Loader::new(Class::Tool, tool::linker(chosen.engine())?, limits),
            supplied: Arc::new(agents(&supplied)?),
            turns: Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS))),
            _chosen: chosen,
            _supplied: supplied,
        })
    }

    /// Loads the sandbox, or another agent component that the operator chose.
    pub(crate) fn load_chosen_agent(&self, bytes: &[u8]) -> Result<AgentComponent, LoadError> {
        self.agents.load_agent(bytes)
    }

    /// Loads something that an agent supplied, when its turn comes.
    ///
    /// It has a thread of its own: the workers of the asynchronous runtime go on with what others wait for, and the
    /// end of the process does not wait for the compiler. Whoever stops waiting does not stop the compiler, which
    /// keeps its turn until it is done.
    pub(crate) async fn load_supplied_agent(
        &self,
        bytes: Vec<u8>,
    ) -> Result<AgentComponent, LoadError> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .expect("nothing closes the semaphore");
        let loader = Arc::clone(&self.supplied);
        let (report, outcome) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("compiler".to_owned())
            .spawn(move || {
                let _turn = turn;
                // Nobody may be waiting any more.
                let _ = report.send(loader.load_agent(&bytes));
            })
            .map_err(|error| LoadError::DoesNotFit(error.into()))?;
        outcome.await.unwrap_or(Err(LoadError::CompilerStopped))
    }

    /// Loads something that the operator listed.
    pub(crate) fn load_tool(
        &self,
        bytes: &[u8],
        expected: Option<Digest>,
    ) -> Result<(Inspection, TrustedToolPre<ToolState>), LoadError> {
        let (inspection, component) = self.tools.compile(bytes, expected)?;
        let pre = tool::prepare(&self.tools.linker, &component)
            .map_err(|error| self.tools.unfit(error))?;
        Ok((inspection, pre))
    }
}

impl Loader<AgentState> {
    fn load_agent(&self, bytes: &[u8]) -> Result<AgentComponent, LoadError> {
        let (inspection, component) = self.compile(bytes, None)?;
        agent::prepare(&self.linker, &component, inspection).map_err(|error| self.unfit(error))
    }
}

impl<T> Loader<T> {
    fn new(class: Class, linker: Linker<T>, limits: &Limits) -> Self {
        Self {
            class,
            linker,
            inspection: limits.component,
            max_core_instances: limits.max_core_instances,
        }
    }

    /// Compiles `bytes` after, and only after, inspection has found that they fit the class.
    fn compile(
        &self,
        bytes: &[u8],
        expected: Option<Digest>,
    ) -> Result<(Inspection, Component), LoadError> {
        let inspection = inspection::inspect(bytes, &self.inspection)?;
        if let Some(expected) = expected.filter(|expected| *expected != inspection.digest) {
            return Err(LoadError::DigestDiffers {
                expected,
                found: inspection.digest,
            });
        }
        if let Some(refusal) = inspection.refusal_for(self.class) {
            return Err(refusal.into());
        }
        let component =
            Component::new(self.linker.engine(), bytes).map_err(|error| self.unfit(error))?;
        Ok((inspection, component))
    }

    fn unfit(&self, error: wasmtime::Error) -> LoadError {
        // The engine has no type for this error.
        if error
            .root_cause()
            .to_string()
            .contains("core module instances")
        {
            return LoadError::TooManyCoreInstances {
                allowed: self.max_core_instances,
            };
        }
        LoadError::DoesNotFit(error)
    }
}
