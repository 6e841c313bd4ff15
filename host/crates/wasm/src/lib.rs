//! All code that uses wasmtime: the engines, the linkers, and the loading of components into one of
//! two classes.
//!
//! The linker that a component is loaded with decides what it may call. `tool` and `agent`
//! implement the calls, with a file for each interface.

pub mod agent;
pub mod bindings;
pub mod builtin;
mod compiled;
mod engine;
pub mod inspection;
pub mod limits;
mod load_error;
pub mod tool;
pub mod worker;

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, Linker};

use agent::{AgentComponent, AgentState};
use bindings::TrustedToolPre;
use compiled::{CompiledComponents, CompiledKey};
use engine::{Compiles, TickingEngine};
use inspection::{Class, Digest, Inspection};
use limits::Limits;
pub use load_error::LoadError;
use load_error::unfit_words;
use tool::ToolState;
use worker::{Worker, WorkerConfig};

/// The engines of a host, with a linker for each of the two classes.
pub struct Runtime {
    agents: Loader<AgentState>,
    tools: Arc<Loader<ToolState>>,
    supplied: Arc<Loader<AgentState>>,
    worker: Worker,
    /// Advances the epoch of `agents` and `tools`.
    _chosen: TickingEngine,
    /// Advances the epoch of `supplied`.
    _supplied: TickingEngine,
}

/// Compiles and links components of one class.
struct Loader<T: 'static> {
    class: Class,
    linker: Linker<T>,
    compiled: Arc<CompiledComponents>,
    limits: Arc<Limits>,
}

impl Runtime {
    pub fn start(
        limits: &Limits,
        worker: &WorkerConfig,
        cache_dir: Option<&Path>,
    ) -> wasmtime::Result<Self> {
        let compiled = Arc::new(CompiledComponents::open(cache_dir)?);
        let cache = compiled.engine();
        let chosen = TickingEngine::start(Compiles::Chosen, limits, &cache)?;
        let supplied = TickingEngine::start(Compiles::Supplied, limits, &cache)?;
        let limits = Arc::new(limits.clone());
        let agents = |engine: &TickingEngine| -> wasmtime::Result<_> {
            Ok(Loader {
                class: Class::Agent,
                linker: agent::linker(engine.engine())?,
                compiled: Arc::clone(&compiled),
                limits: Arc::clone(&limits),
            })
        };
        Ok(Self {
            agents: agents(&chosen)?,
            supplied: Arc::new(agents(&supplied)?),
            tools: Arc::new(Loader {
                class: Class::Tool,
                linker: tool::linker(chosen.engine())?,
                compiled: Arc::clone(&compiled),
                limits: Arc::clone(&limits),
            }),
            worker: Worker::new(worker, &limits),
            _chosen: chosen,
            _supplied: supplied,
        })
    }

    /// Loads the sandbox, which is part of this program.
    pub fn load_own_agent(&self, name: &str, bytes: &[u8]) -> Result<AgentComponent, LoadError> {
        let (inspection, component) = self.agents.load_own(name, bytes)?;
        self.agents.link_agent(inspection, &component)
    }

    /// Loads a tool that is part of this program.
    pub fn load_own_tool(
        &self,
        name: &str,
        bytes: &[u8],
        expected: Option<Digest>,
    ) -> Result<(Inspection, TrustedToolPre<ToolState>), LoadError> {
        self.tools.expect(bytes, expected)?;
        let (inspection, component) = self.tools.load_own(name, bytes)?;
        self.tools.link_tool(inspection, &component)
    }

    /// Loads a component that an agent supplied, when a worker is free.
    pub async fn load_supplied_agent(&self, bytes: Vec<u8>) -> Result<AgentComponent, LoadError> {
        let loader = Arc::clone(&self.supplied);
        let load = move |worker: &Worker, is_wanted: &dyn Fn() -> bool| {
            let name = Digest::of(&bytes).to_string();
            let (inspection, component) = loader.load_foreign(&name, &bytes, worker, is_wanted)?;
            loader.link_agent(inspection, &component)
        };
        self.worker.in_turn(load).await
    }

    /// Loads a tool that the operator listed, when a worker is free.
    pub async fn load_listed_tool(
        &self,
        name: String,
        bytes: Vec<u8>,
        expected: Option<Digest>,
    ) -> Result<(Inspection, TrustedToolPre<ToolState>), LoadError> {
        let loader = Arc::clone(&self.tools);
        let load = move |worker: &Worker, is_wanted: &dyn Fn() -> bool| {
            loader.expect(&bytes, expected)?;
            let (inspection, component) = loader.load_foreign(&name, &bytes, worker, is_wanted)?;
            loader.link_tool(inspection, &component)
        };
        self.worker.in_turn(load).await
    }
}

impl Loader<AgentState> {
    fn link_agent(
        &self,
        inspection: Inspection,
        component: &Component,
    ) -> Result<AgentComponent, LoadError> {
        let pre = agent::prepare(&self.linker, component).map_err(|error| self.unfit(&error))?;
        Ok(AgentComponent::new(pre, inspection))
    }
}

impl Loader<ToolState> {
    fn link_tool(
        &self,
        inspection: Inspection,
        component: &Component,
    ) -> Result<(Inspection, TrustedToolPre<ToolState>), LoadError> {
        let pre = tool::prepare(&self.linker, component).map_err(|error| self.unfit(&error))?;
        Ok((inspection, pre))
    }
}

impl<T> Loader<T> {
    /// Refuses a component whose digest is not the `expected` one.
    fn expect(&self, bytes: &[u8], expected: Option<Digest>) -> Result<(), LoadError> {
        let found = Digest::of(bytes);
        match expected.filter(|expected| *expected != found) {
            Some(expected) => Err(LoadError::DigestDiffers { expected, found }),
            None => Ok(()),
        }
    }

    /// Compiles a component of this program in this process.
    fn load_own(&self, name: &str, bytes: &[u8]) -> Result<(Inspection, Component), LoadError> {
        let inspection = inspection::inspect(bytes, &self.limits.component)?;
        if let Some(refusal) = inspection.refusal_for(self.class) {
            return Err(refusal.into());
        }
        let key = CompiledKey::new(inspection.digest, self.linker.engine());
        let is_new = !self.compiled.has(&key);
        if is_new {
            announce(name);
        }
        let component = self.compile(bytes)?;
        if is_new {
            self.compiled.note(&key)?;
        }
        Ok((inspection, component))
    }

    /// Lets a worker inspect the component and, unless it is already compiled, compile it. Then
    /// loads the compiled code.
    ///
    /// The worker's code is in the engine's cache, from which it is read here.
    fn load_foreign(
        &self,
        name: &str,
        bytes: &[u8],
        worker: &Worker,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(Inspection, Component), LoadError> {
        let key = CompiledKey::new(Digest::of(bytes), self.linker.engine());
        let inspection = if self.compiled.has(&key) {
            worker.load(self.class, bytes, None, is_wanted)?
        } else {
            announce(name);
            let staged = self.compiled.stage()?;
            let inspection = worker.load(self.class, bytes, Some(staged.path()), is_wanted)?;
            self.compiled.adopt(&key, staged.path())?;
            inspection
        };
        Ok((inspection, self.compile(bytes)?))
    }

    fn compile(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        Component::new(self.linker.engine(), bytes).map_err(|error| self.unfit(&error))
    }

    fn unfit(&self, error: &wasmtime::Error) -> LoadError {
        LoadError::DoesNotFit(unfit_words(error, &self.limits))
    }
}

/// Logs that the user has to wait, and only this once.
fn announce(component: &str) {
    tracing::info!(
        target: COMPILING,
        component,
        "compiling a component that is new here: this may take a while, and the result is kept"
    );
}

/// The log target of [`announce`], for commands that log little else.
pub const COMPILING: &str = "tavora_host::compiling";
