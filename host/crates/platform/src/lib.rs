//! The entry point of the library: a program opens vaults, starts a [`Platform`] on them, and runs
//! agents.
//!
//! The command line uses it, and so does `examples/embed.rs`. It opens no socket. `toolbox` builds
//! the grants of tools, and `agent_tools` those of an agent's file.

mod agent_tools;
mod chat;
mod credentials;
mod dispatch;
pub mod rotation;
mod settings;
mod toolbox;
pub mod trail;
mod view;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tracing::field::Empty;
use vault_core::{AppId, SecretVaults};

pub use self::chat::ServeError;
pub use crate::dispatch::{AnswerBody, BrokenOff, CallRecord, RunIdentity};
use crate::dispatch::{Dispatch, KnownServers, Outside, Tools};
pub use settings::{CredentialConfig, PlatformConfig, ToolConfig};
use tavora_agents::{Agent, AgentError, AgentId, Agents, AgentsError};
use tavora_egress::EgressPool;
use tavora_telemetry::{Metrics, activity};
use tavora_trust::{ConfigError, TrustError};
pub use tavora_wasm::agent::AgentComponent;
pub use tavora_wasm::agent::AgentFailure;
pub use tavora_wasm::agent::tools::LogSink;
pub use tavora_wasm::agent::tools::ToolsCapability;
pub use tavora_wasm::bindings::{Operation, ToolError};
use tavora_wasm::builtin::{self, MissingGuest};
use tavora_wasm::limits::{LimitHit, Limits};
use tavora_wasm::tool::ToolComponent;
use tavora_wasm::{LoadError, Runtime};
pub use view::{ComponentView, CredentialView, GrantedBy, HttpApiView, OperationView, ToolView};

/// Why a platform did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The WebAssembly engine refused its configuration.
    #[error("the WebAssembly engine does not start: {0:#}")]
    Engine(wasmtime::Error),
    /// The extra certificate authorities cannot be read.
    #[error("[egress] extra_ca_file: {0}")]
    ExtraCaUnreadable(#[from] ConfigError),
    /// The extra certificate authorities cannot be used.
    #[error("[egress] extra_ca_file: {0}")]
    ExtraCa(#[from] TrustError),
    /// A tool's file cannot be read.
    #[error("[tools.{tool}]: cannot read {}: {source}", path.display())]
    Unreadable {
        tool: String,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A tool's component could not be loaded.
    #[error("[tools.{tool}]: {source}")]
    Load {
        /// The tool\'s name.
        tool: String,
        source: LoadError,
    },
    /// A tool did not describe its operations.
    #[error("[tools.{tool}]: asked for its operations, the component failed: {reason}")]
    Describe {
        /// The tool\'s name.
        tool: String,
        reason: String,
    },
    /// The tool is not built in, and its entry has no component.
    #[error(
        "[tools.{0}]: there is no built-in tool of that name, and neither `component` nor `http` is given"
    )]
    NoComponent(String),
    /// A built-in tool's entry has a `component`.
    #[error("[tools.{0}]: this tool is built in; give your component another name")]
    BuiltinName(String),
    /// The client of MCP servers has grants that would apply to all servers.
    #[error(
        "[tools.{0}]: its secrets and origins come from the files that declare each server or API; leave out secrets, reveal, credentials, origins and bind"
    )]
    ClientGrants(&'static str),
    /// The entry of an HTTP API has keys that it must leave out.
    #[error("[tools.{tool}.http]: {reason}")]
    HttpEntry {
        tool: String,
        /// The fault, with the correction.
        reason: String,
    },
    /// The entry of an HTTP API cannot become a tool.
    #[error("[tools.{tool}.http]: {source}")]
    HttpApi {
        tool: String,
        source: tavora_openapi::ApiError,
    },
    /// `bind` names a secret that the tool may not use.
    #[error("[tools.{tool}] bind: the tool may not use \"{secret}\"; add it to `secrets`")]
    Bind {
        /// The tool\'s name.
        tool: String,
        secret: String,
    },
    /// The entry about a secret is not valid.
    #[error("[tools.{tool}.credentials.{secret}]: {reason}")]
    Credential {
        tool: String,
        secret: String,
        /// The fault of the entry.
        reason: String,
    },
    /// The folder of agents cannot be used.
    #[error(transparent)]
    Agents(#[from] AgentsError),
    /// An entry of `config` should be a URL and is not.
    #[error("[tools.{tool}.config] {key}: {reason}")]
    BaseUrl {
        tool: String,
        key: String,
        reason: String,
    },
}

/// One run of an agent's program.
pub struct AgentRun {
    /// The app, the run and the request that the run belongs to.
    pub identity: RunIdentity,
    /// The program: for the JavaScript sandbox, the body of an async function.
    pub code: String,
    /// The program's `input`, as JSON.
    pub input: String,
    /// A shorter wall clock than `limits.agent.wall_clock_ms`.
    pub timeout_ms: Option<u64>,
    pub tools: RunTools,
    /// Receives each line of the log as it is written.
    pub log: LogSink,
}

/// The tools that a run may call.
#[derive(Clone, Debug)]
pub enum RunTools {
    /// Every tool of the platform, and no MCP server.
    All,
    /// The tools with these names.
    Named(BTreeSet<String>),
    /// The tools that an agent's file grants, including its MCP servers.
    Of(Arc<Agent>),
}

impl AgentRun {
    /// Returns a run of `code` for `app`, with every tool, no input, and no log.
    pub fn new(app: AppId, code: impl Into<String>) -> Self {
        Self {
            identity: RunIdentity {
                app,
                session_id: uuid::Uuid::now_v7().to_string(),
                request_id: None,
                api_key: None,
            },
            code: code.into(),
            input: "null".to_owned(),
            timeout_ms: None,
            tools: RunTools::All,
            log: Box::new(|_| {}),
        }
    }
}

/// The report of a run.
#[derive(Debug)]
pub struct RunReport {
    /// The result as JSON, or the reason why there is none.
    pub outcome: Result<Box<RawValue>, RunError>,
    /// The calls that the program made.
    pub calls: Vec<CallRecord>,
    pub duration: Duration,
}

/// Why a run gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program threw.
    #[error("{name}: {message}")]
    Threw {
        name: String,
        /// The code, if the error is a `ToolError`.
        code: Option<String>,
        message: String,
        /// The stack, one frame a line. It may be empty.
        stack: String,
    },
    /// A limit ended the run.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// The program is too long.
    #[error("the program has more bytes than limits.agent.max_code_bytes ({allowed}) allows")]
    CodeTooLong {
        /// The limit, in bytes.
        allowed: usize,
    },
    /// The input is too long.
    #[error("the input has more bytes than limits.agent.max_input_bytes ({allowed}) allows")]
    InputTooLong {
        /// The limit, in bytes.
        allowed: usize,
    },
    /// The input is not JSON.
    #[error("the input is not JSON: {0}")]
    InvalidInput(serde_json::Error),
    /// This binary was built without the sandbox.
    #[error(transparent)]
    MissingSandbox(#[from] MissingGuest),
    /// The component failed. This is not the program's fault, unless the agent brought its own
    /// component.
    #[error(transparent)]
    Failed(AgentFailure),
    /// The component's result is not JSON.
    #[error("the agent's result is not JSON: {0}")]
    InvalidResult(serde_json::Error),
}

impl RunError {
    /// Returns the limit behind the error, if there is one.
    fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Limit(hit) | Self::Failed(AgentFailure::Limit(hit)) => Some(hit.limit),
            Self::CodeTooLong { .. } => Some("limits.agent.max_code_bytes"),
            Self::InputTooLong { .. } => Some("limits.agent.max_input_bytes"),
            Self::Failed(AgentFailure::Busy(_)) => Some("limits.max_instances"),
            _ => None,
        }
    }
}

/// A host's tools and sandbox, on a set of vaults.
pub struct Platform {
    vaults: SecretVaults,
    runtime: Runtime,
    egress: Arc<EgressPool>,
    tools: Tools,
    mcp_client: Option<Arc<ToolComponent>>,
    /// The component of HTTP APIs. By itself it is granted nothing.
    http_api: Option<Arc<ToolComponent>>,
    servers: Arc<KnownServers>,
    agents: Arc<Agents>,
    sandbox: Result<AgentComponent, &'static str>,
    limits: Arc<Limits>,
    /// Limits concurrent HTTP tool calls (limits.stream.max_concurrent).
    turns: Arc<Semaphore>,
    metrics: Metrics,
}

impl Platform {
    /// Starts the engine and loads the sandbox and every tool, built-in tools first.
    ///
    /// Compiled components are cached in `cache_dir`, which must be as private as the database.
    pub async fn start<'a>(
        vaults: SecretVaults,
        config: impl Into<PlatformConfig<'a>>,
        cache_dir: Option<&Path>,
    ) -> Result<Self, StartError> {
        let config = config.into();
        let runtime =
            Runtime::start(config.limits, config.worker, cache_dir).map_err(StartError::Engine)?;
        let sandbox = match builtin::component(builtin::SANDBOX) {
            Ok(bytes) => Ok(runtime
                .load_own_agent(builtin::SANDBOX, bytes)
                .map_err(|source| StartError::Load {
                    tool: builtin::SANDBOX.to_owned(),
                    source,
                })?),
            Err(MissingGuest(name)) => Err(name),
        };
        let metrics = Metrics::new();
        let egress = EgressPool::new(config.egress.settings()?)?;
        let mut platform = Self {
            egress: Arc::new(egress.counted_in(metrics.clone())),
            limits: Arc::new(config.limits.clone()),
            turns: Arc::new(Semaphore::new(
                config
                    .limits
                    .stream
                    .max_concurrent
                    .min(Semaphore::MAX_PERMITS),
            )),
            metrics,
            tools: Tools::new(),
            mcp_client: None,
            http_api: None,
            servers: Arc::default(),
            agents: Arc::new(Agents::none()),
            vaults,
            runtime,
            sandbox,
        };
        platform.load_tools(config.tools).await?;
        platform.agents = Arc::new(Agents::open(config.agents.clone(), config.agent_rules())?);
        Ok(platform)
    }

    /// The vaults that this platform resolves from.
    pub fn vaults(&self) -> &SecretVaults {
        &self.vaults
    }

    /// The limits on runs and calls.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The metrics of this platform.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The tools that a run may call, by name.
    pub fn tools(&self) -> impl Iterator<Item = ToolView> {
        self.tools.values().map(|tool| ToolView::from(&**tool))
    }

    /// Every loaded trusted tool, by name. This includes the client of MCP servers, which runs call
    /// under the names of the servers in their agents' files.
    pub fn trusted_tools(&self) -> Vec<ToolView> {
        let others = self.mcp_client.iter().chain(&self.http_api);
        let others = others.map(|tool| ToolView::from(&**tool));
        let mut tools: Vec<ToolView> = self.tools().chain(others).collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools
    }

    /// The component of the sandbox, unless this binary was built without it.
    pub fn sandbox(&self) -> Option<ComponentView> {
        let sandbox = self.sandbox.as_ref().ok()?;
        Some(sandbox.inspection().into())
    }

    /// Returns the agent with this id, as its file declares it now.
    pub async fn agent(&self, id: &str) -> Result<Arc<Agent>, AgentError> {
        let (agents, id) = (Arc::clone(&self.agents), id.to_owned());
        tokio::task::spawn_blocking(move || agents.find(&id))
            .await
            .expect("looking for an agent does not panic")
    }

    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// The tools that an agent's file grants, by name.
    pub fn tools_of(&self, agent: &Agent) -> Vec<ToolView> {
        let granted = self.granted_to(agent);
        granted
            .values()
            .map(|tool| ToolView::from(&**tool))
            .collect()
    }

    /// Inspects, compiles and links a component of the agent class in a worker process. Waits while
    /// `limits.max_concurrent_compilations` workers are running. A program that embeds the host
    /// must call [`run_if_asked`](tavora_wasm::worker::run_if_asked) to become the worker. Dropping
    /// this future ends the worker.
    pub async fn load_agent(&self, bytes: Vec<u8>) -> Result<AgentComponent, LoadError> {
        self.runtime.load_supplied_agent(bytes).await
    }

    /// Runs a program in the JavaScript sandbox.
    pub async fn run(&self, run: AgentRun) -> RunReport {
        match &self.sandbox {
            Ok(sandbox) => self.run_in(sandbox, run).await,
            Err(name) => RunReport {
                outcome: Err(MissingGuest(name).into()),
                calls: Vec::new(),
                duration: Duration::ZERO,
            },
        }
    }

    /// Runs a program in another component of the agent class.
    pub async fn run_in(&self, agent: &AgentComponent, run: AgentRun) -> RunReport {
        let started = Instant::now();
        let (granted, declared) = match &run.tools {
            RunTools::All => (self.tools.clone(), None),
            RunTools::Named(names) => (self.named(|name| names.contains(name)), None),
            RunTools::Of(agent) => (self.granted_to(agent), Some(agent.id.clone())),
        };
        let dispatch = self.dispatch(granted, run.identity.clone(), declared);
        let span = tracing::info_span!(
            "sandbox_run",
            app_id = %run.identity.app,
            session_id = run.identity.session_id,
            outcome = Empty,
        );
        let work = self.outcome(agent, run, dispatch.clone());
        let outcome = activity::observe(span, work, outcome_word, |outcome, took| {
            self.metrics.run_ended(outcome, took);
        })
        .await;
        if let Some(limit) = outcome.as_ref().err().and_then(RunError::limit) {
            self.metrics.limit_hit(limit);
        }
        RunReport {
            outcome,
            calls: dispatch.end().await,
            duration: started.elapsed(),
        }
    }

    /// Calls one operation of one tool, as an agent would. The answer is JSON.
    pub async fn call_tool(
        &self,
        identity: RunIdentity,
        tool: &str,
        operation: &str,
        input: &str,
    ) -> Result<String, ToolError> {
        self.dispatch(self.tools.clone(), identity, None)
            .call(tool, operation, input)
            .await
    }

    /// Returns the dispatch for one run. `agent` is the declared agent that makes the calls, if
    /// any.
    fn dispatch(&self, granted: Tools, identity: RunIdentity, agent: Option<AgentId>) -> Dispatch {
        Dispatch::new(
            granted,
            identity,
            agent,
            self.vaults.clone(),
            Outside {
                egress: Arc::clone(&self.egress),
                servers: Arc::clone(&self.servers),
            },
            &self.limits.tool,
            self.metrics.clone(),
        )
    }

    async fn outcome(
        &self,
        agent: &AgentComponent,
        run: AgentRun,
        dispatch: Dispatch,
    ) -> Result<Box<RawValue>, RunError> {
        let limits = &self.limits.agent;
        if run.code.len() > limits.max_code_bytes {
            return Err(RunError::CodeTooLong {
                allowed: limits.max_code_bytes,
            });
        }
        if run.input.len() > limits.max_input_bytes {
            return Err(RunError::InputTooLong {
                allowed: limits.max_input_bytes,
            });
        }
        serde_json::from_str::<&RawValue>(&run.input).map_err(RunError::InvalidInput)?;
        let tools = ToolsCapability::new(Box::new(dispatch), limits.clone(), run.log);
        let wall_clock_ms = run
            .timeout_ms
            .map_or(limits.wall_clock_ms, |it| it.min(limits.wall_clock_ms));
        let ended = agent
            .run(tools, run.code, run.input, wall_clock_ms, &self.limits)
            .await;
        match ended {
            Ok(Ok(json)) => RawValue::from_string(json).map_err(RunError::InvalidResult),
            Ok(Err(thrown)) => Err(RunError::Threw {
                name: thrown.name,
                code: thrown.code,
                message: thrown.message,
                stack: thrown.stack,
            }),
            Err(AgentFailure::Limit(hit)) => Err(RunError::Limit(hit)),
            Err(failure) => Err(RunError::Failed(failure)),
        }
    }
}

/// Returns the word for a run's outcome, for metrics and traces.
fn outcome_word(outcome: &Result<Box<RawValue>, RunError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(RunError::Threw { .. }) => "threw",
        Err(error) if error.limit().is_some() => "limit_exceeded",
        Err(RunError::InvalidInput(_)) => "invalid_input",
        Err(RunError::MissingSandbox(_)) => "missing_sandbox",
        Err(RunError::InvalidResult(_)) => "invalid_result",
        Err(_) => "failed",
    }
}
