//! Dispatches calls of trusted tools for one app and one run: checks grants, picks the instance,
//! and scrubs everything that is returned.
//!
//! Every caller (an agent through `tavora:platform/tools`, the command line) uses this module.

mod answer;
mod binding;
mod served;
mod servers;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tracing::field::Empty;
use vault_core::{ApiKeyId, AppId, ReleaseContext, SecretVaults};
use zeroize::Zeroize;

use self::binding::Refusals;
pub use self::served::{AnswerBody, BrokenOff};
pub(crate) use self::servers::{KnownServers, URL};
use crate::trail::Trail;
use tavora_agents::AgentId;
use tavora_egress::{EgressLog, EgressPool, EgressScope, ReleasedSecrets};
use tavora_telemetry::{Metrics, activity};
pub use tavora_wasm::agent::tools::ToolCalls;
use tavora_wasm::bindings::ToolError;
pub use tavora_wasm::bindings::tools::ToolInfo;
use tavora_wasm::limits::ToolLimits;
use tavora_wasm::tool::{ToolBinding, ToolComponent, ToolFailure, ToolInstance};

/// The most characters that are repeated of a name that an agent made up. No real name is longer.
const MAX_SHOWN_CHARS: usize = 64;

/// The platform's own error codes. A tool may define others.
const OWN_CODES: [&str; 13] = [
    "egress_denied",
    "invalid_input",
    "limit_exceeded",
    "no_vault_designated",
    "secret_not_found",
    "secret_not_granted",
    "tool_failed",
    "unknown_operation",
    "unknown_tool",
    "upstream_auth",
    "upstream_error",
    "upstream_unreachable",
    "vault_unavailable",
];

/// The identity of a run, which is in every audit entry of the run.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// The app whose designated vault is used.
    pub app: AppId,
    /// The id of the run, which is the audit's `session_id`.
    pub session_id: String,
    /// The request that started the run, if there was one.
    pub request_id: Option<String>,
    /// The API key that started the run, if there was one.
    pub api_key: Option<ApiKeyId>,
}

/// A call that a run made, without its input and its result.
#[derive(Clone, Debug, Serialize)]
pub struct CallRecord {
    /// The tool's name in the call.
    pub tool: String,
    /// The operation in the call.
    pub operation: String,
    /// Whether the tool returned a result.
    pub ok: bool,
    /// The error's code, if there was an error.
    pub error_code: Option<String>,
    /// The duration in milliseconds.
    pub duration_ms: u64,
}

/// The tools of a host, by name.
pub(crate) type Tools = BTreeMap<Arc<str>, Arc<ToolComponent>>;

/// An instance that waits for its next call, with a record of its refusals.
struct Waiting {
    instance: ToolInstance,
    refusals: Arc<Refusals>,
}

/// Instances by the name of their tool.
type Instances = HashMap<Arc<str>, Vec<Waiting>>;

/// The calls of one run. Clones share the run.
#[derive(Clone)]
pub(crate) struct Dispatch(Arc<Run>);

struct Run {
    granted: Tools,
    identity: RunIdentity,
    agent: Option<AgentId>,
    vaults: SecretVaults,
    egress: Arc<EgressPool>,
    servers: Arc<KnownServers>,
    released: Arc<ReleasedSecrets>,
    trail: Arc<Trail>,
    /// Instances that wait for their next call, so that a tool can keep a session within a run.
    idle: Mutex<Instances>,
    calls: Mutex<Vec<CallRecord>>,
    metrics: Metrics,
}

/// Connections and knowledge that all runs share.
#[derive(Clone)]
pub(crate) struct Outside {
    pub egress: Arc<EgressPool>,
    pub servers: Arc<KnownServers>,
}

impl Dispatch {
    pub(crate) fn new(
        granted: Tools,
        identity: RunIdentity,
        agent: Option<AgentId>,
        vaults: SecretVaults,
        outside: Outside,
        limits: &ToolLimits,
        metrics: Metrics,
    ) -> Self {
        let Outside { egress, servers } = outside;
        let released: Arc<ReleasedSecrets> = Arc::default();
        let trail = Trail::new(
            vaults.clone(),
            Arc::clone(&released),
            limits.max_recorded_denials,
            metrics.clone(),
        );
        Self(Arc::new(Run {
            granted,
            identity,
            agent,
            trail: Arc::new(trail),
            vaults,
            egress,
            servers,
            released,
            idle: Mutex::default(),
            calls: Mutex::default(),
            metrics,
        }))
    }

    /// Ends the run: writes the remaining audit entries, and returns the calls in the order in
    /// which they ended. A call that a time limit cut off is not included.
    pub(crate) async fn end(self) -> Vec<CallRecord> {
        let mut clients = std::mem::take(&mut *lock(&self.0.idle));
        clients.retain(|name, _| self.0.is_client(name));
        self.0.remember(&mut clients).await;
        for tool in self.0.granted.values() {
            self.0.trail.write_denials(&self.0.context(tool)).await;
        }
        if !clients.is_empty()
            && let Ok(turn) = ENDINGS.try_acquire()
        {
            let run = Arc::clone(&self.0);
            // The run is over, so nobody waits for the last messages to MCP servers.
            tokio::spawn(async move {
                run.end_sessions(clients).await;
                drop(turn);
            });
        }
        std::mem::take(&mut lock(&self.0.calls))
    }

    /// Calls one operation of one tool, and scrubs the outcome.
    pub(crate) async fn call(
        &self,
        tool: &str,
        operation: &str,
        input: &str,
    ) -> Result<String, ToolError> {
        let started = Instant::now();
        // Names that an agent made up appear only in the record of the calls.
        let known = self.0.granted.get(tool);
        let known_operation = known.and_then(|tool| tool.operation(operation));
        let known = known.map(|tool| &*tool.name);
        let span = tracing::info_span!(
            "tool_call",
            tool = known,
            operation = known_operation.map(|operation| &*operation.name),
            outcome = Empty,
        );
        let work = self.0.call(tool, operation, input);
        let outcome = activity::observe(span, work, outcome_word, |outcome, took| {
            self.0.metrics.tool_call_ended(known, outcome, took);
        })
        .await;
        lock(&self.0.calls).push(CallRecord {
            tool: shown(tool),
            operation: shown(operation),
            ok: outcome.is_ok(),
            error_code: outcome.as_ref().err().map(|error| shown(&error.code)),
            duration_ms: whole_ms(started.elapsed()),
        });
        outcome
    }
}

#[async_trait]
impl ToolCalls for Dispatch {
    fn granted(&self) -> Vec<ToolInfo> {
        let granted = self.0.granted.values().map(|tool| ToolInfo {
            name: tool.name.to_string(),
            operations: tool.operations.to_vec(),
        });
        granted.collect()
    }

    async fn call(&self, tool: &str, operation: &str, input: &str) -> Result<String, ToolError> {
        Self::call(self, tool, operation, input).await
    }
}

/// Limits, in the whole process, the runs whose sessions with MCP servers are being ended. Further
/// runs just drop their sessions, because instances of finished runs must not take the places of
/// running ones.
static ENDINGS: Semaphore = Semaphore::const_new(8);

impl Run {
    async fn call(&self, name: &str, operation: &str, input: &str) -> Result<String, ToolError> {
        let tool = self
            .granted
            .get(name)
            .ok_or_else(|| self.unknown_tool(name))?;
        if tool.operation(operation).is_none() {
            return Err(unknown_operation(tool, operation));
        }
        check_object(input)?;
        let outcome = match self.call_instance(tool, operation, input).await {
            Ok(outcome) => outcome,
            Err(failure) => Err(self.failed(tool, &failure)),
        };
        self.trail.write_denials(&self.context(tool)).await;
        self.scrub(tool, outcome).await
    }

    async fn call_instance(
        &self,
        tool: &Arc<ToolComponent>,
        operation: &str,
        input: &str,
    ) -> Result<Result<String, ToolError>, ToolFailure> {
        let waiting = lock(&self.idle).get_mut(&tool.name).and_then(Vec::pop);
        let mut waiting = match waiting {
            Some(waiting) => waiting,
            None => {
                let refusals = Arc::new(Refusals::new(Arc::clone(&self.trail)));
                let binding = self.binding(tool, refusals.clone());
                let instance = tool.instantiate(binding).await?;
                Waiting { instance, refusals }
            }
        };
        waiting.refusals.begin();
        let outcome = waiting.instance.call(operation, input).await?;
        let outcome = outcome.map_err(|error| waiting.refusals.explain(tool, error));
        lock(&self.idle)
            .entry(Arc::clone(&tool.name))
            .or_default()
            .push(waiting);
        Ok(outcome)
    }

    /// Whether the tool with this name is the client of an MCP server.
    fn is_client(&self, name: &str) -> bool {
        let tool = self.granted.get(name);
        tool.is_some_and(|tool| tool.grants.keeps_session)
    }

    /// Keeps the findings of MCP clients for later runs.
    async fn remember(&self, clients: &mut Instances) {
        for (name, instances) in clients {
            let Some(tool) = self.granted.get(name) else {
                continue;
            };
            for waiting in instances {
                if let Ok(found) = waiting.instance.found().await {
                    self.servers.remember(&tool.grants, &found);
                }
            }
        }
    }

    /// Ends the sessions with MCP servers.
    async fn end_sessions(&self, clients: Instances) {
        let ends = clients.into_iter().map(|(name, instances)| async move {
            let Some(tool) = self.granted.get(&name) else { return };
            let ends = instances.into_iter().map(|mut waiting| async move {
                if let Err(failure) = waiting.instance.end().await {
                    tracing::debug!(tool = &*tool.name, error = %failure, "a session was not ended");
                }
            });
            futures::future::join_all(ends).await;
            self.trail.write_denials(&self.context(tool)).await;
        });
        futures::future::join_all(ends).await;
    }

    fn context(&self, tool: &ToolComponent) -> ReleaseContext {
        ReleaseContext {
            app_id: self.identity.app,
            tool: tool.name.to_string(),
            tool_digest: tool.inspection.digest.to_string(),
            request_id: self.identity.request_id.clone(),
            session_id: Some(self.identity.session_id.clone()),
            api_key_id: self.identity.api_key,
            agent: self.agent.as_ref().map(ToString::to_string),
        }
    }

    fn binding(&self, tool: &ToolComponent, refusals: Arc<dyn EgressLog>) -> ToolBinding {
        let scope = EgressScope {
            app: self.identity.app.to_string(),
            tool: tool.name.to_string(),
        };
        let egress = self.egress.open(
            scope,
            tool.grants.origins.iter().cloned(),
            Arc::clone(&self.released),
            refusals,
        );
        ToolBinding {
            vaults: self.vaults.clone(),
            context: self.context(tool),
            egress: match tool.grants.keeps_session {
                false => egress,
                true => egress.waiting(tool.limits().mcp.idle_ms),
            },
            released: Arc::clone(&self.released),
            log: self.trail.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Removes every secret that this run released from the tool's answer.
    async fn scrub(
        &self,
        tool: &ToolComponent,
        outcome: Result<String, ToolError>,
    ) -> Result<String, ToolError> {
        let scrubber = self.released.scrubber();
        let mut leaked = Vec::new();
        let mut clean = |mut text: String| {
            let scrubbed = scrubber.scrub(&text);
            leaked.extend(scrubbed.blocked);
            match scrubbed.text {
                Cow::Borrowed(_) => text,
                Cow::Owned(clean) => {
                    text.zeroize();
                    clean
                }
            }
        };
        let outcome = match outcome {
            Ok(json) if serde_json::from_str::<&RawValue>(&json).is_err() => {
                clean(json).zeroize();
                Err(ToolError {
                    code: "tool_failed".to_owned(),
                    message: format!("the answer of the tool {:?} is not JSON", tool.name),
                })
            }
            Ok(mut json) => match answer::scrub(&scrubber, &json) {
                None => Ok(json),
                Some((clean, blocked)) => {
                    json.zeroize();
                    leaked.extend(blocked);
                    Ok(clean)
                }
            },
            Err(error) => Err(ToolError {
                code: clean(error.code),
                message: clean(error.message),
            }),
        };
        leaked.sort();
        leaked.dedup();
        for secret in leaked {
            tracing::warn!(
                tool = &*tool.name,
                "a tool's answer held a credential; it was taken out"
            );
            self.trail.leak_blocked(&self.context(tool), &secret).await;
        }
        outcome
    }

    /// Returns the error for an agent when a tool failed to answer. The cause is for the operator
    /// and goes to the log.
    fn failed(&self, tool: &ToolComponent, failure: &ToolFailure) -> ToolError {
        let (code, message) = match failure {
            ToolFailure::Limit(hit) => {
                self.metrics.limit_hit(hit.limit);
                (
                    "limit_exceeded",
                    format!("the tool {:?} was stopped: {hit}", tool.name),
                )
            }
            ToolFailure::Busy(_) => {
                self.metrics.limit_hit("limits.max_instances");
                (
                    "limit_exceeded",
                    "the host has no room for another instance (limits.max_instances); try again"
                        .to_owned(),
                )
            }
            ToolFailure::Trapped(_) | ToolFailure::BadDescription(_) | ToolFailure::Unanswered => {
                tracing::error!(tool = &*tool.name, digest = %tool.inspection.digest, error = %failure, "a tool failed");
                (
                    "tool_failed",
                    format!("the tool {:?} stopped unexpectedly", tool.name),
                )
            }
        };
        ToolError {
            code: code.to_owned(),
            message,
        }
    }

    fn unknown_tool(&self, name: &str) -> ToolError {
        let granted: Vec<&str> = self.granted.keys().map(AsRef::as_ref).collect();
        ToolError {
            code: "unknown_tool".to_owned(),
            message: format!(
                "there is no tool {:?} in this run; it may call: {}",
                shown(name),
                list_or_none(&granted)
            ),
        }
    }
}

fn unknown_operation(tool: &ToolComponent, operation: &str) -> ToolError {
    let known: Vec<&str> = tool.operations.iter().map(|it| it.name.as_str()).collect();
    ToolError {
        code: "unknown_operation".to_owned(),
        message: format!(
            "the tool {:?} has no operation {:?}; it has: {}",
            tool.name,
            shown(operation),
            list_or_none(&known)
        ),
    }
}

/// Shortens a name from an agent or a tool, so that it can be repeated and stored.
fn shown(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN_CHARS) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

fn list_or_none(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

fn check_object(input: &str) -> Result<(), ToolError> {
    let problem = match serde_json::from_str::<&RawValue>(input) {
        Ok(raw) if raw.get().starts_with('{') => return Ok(()),
        Ok(_) => "it is another JSON value".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(ToolError {
        code: "invalid_input".to_owned(),
        message: format!("the input must be a JSON object: {problem}"),
    })
}

/// Returns the word for a call's outcome, for metrics and traces.
fn outcome_word(outcome: &Result<String, ToolError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(error) => OWN_CODES
            .into_iter()
            .find(|code| *code == error.code)
            .unwrap_or("other_error"),
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
