//! Trusted tool components: loads one, and calls one for one app.
//!
//! Only the linker in this module has `secrets` and outbound HTTP. It never runs a component that
//! an agent supplied: those run in `agent`, whose linker has neither. The module `serve` answers
//! HTTP requests with a tool.

mod config;
mod log;
mod name;
pub mod secrets;
mod serve;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use vault_core::{AppId, ReleaseContext, SecretVaults};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::config::ConfigCapability;
use self::log::ToolLog;
pub use self::name::ToolName;
use self::secrets::{Denials, ReleaseLog, SecretGrants, SecretsCapability};
pub use self::serve::Running;
use super::bindings::{Operation, ToolError, TrustedTool, TrustedToolPre, config_store};
use super::inspection::{Digest, Inspection};
use super::limits::{LimitHit, Limits, Meter, Section, within};
use tavora_egress::{Egress, EgressDenied, EgressPool, EgressScope, Origin, ReleasedSecrets};
use tavora_openapi::HttpApi;
use tavora_telemetry::Metrics;

/// Two operations of the client of MCP servers: its findings about the server, and the end of the
/// session. They are not described, so that no agent can call them.
const FOUND: &str = "found";
const END: &str = "end";

/// The file that decides which secrets a tool may resolve, and where it may send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantedBy {
    /// The tool's own manifest and `tavora.toml`, for every run.
    Manifest,
    /// Each agent's file, for the runs of that agent.
    AgentFile,
}

/// The grants of a tool.
#[derive(Clone, Debug)]
pub struct ToolGrants {
    /// The file that decides the grants.
    pub by: GrantedBy,
    /// Whether the tool is the client of an MCP server. Its calls may be silent for long, and its
    /// session is ended when the run ends.
    pub keeps_session: bool,
    /// The secrets that the tool may resolve.
    pub secrets: SecretGrants,
    /// The origins that the tool may reach.
    pub origins: Arc<[Origin]>,
    /// The settings that the tool reads through `wasi:config/store`.
    pub config: Arc<[(String, String)]>,
}

/// A trusted tool, compiled and linked. Each run gets instances of it.
pub struct ToolComponent {
    pub name: Arc<str>,
    pub inspection: Inspection,
    pub grants: ToolGrants,
    pub operations: Arc<[Operation]>,
    /// The HTTP API behind the tool, if there is one.
    pub api: Option<Arc<HttpApi>>,
    pre: TrustedToolPre<ToolState>,
    /// The handler of HTTP requests, if the tool has one.
    http: Option<ProxyPre<ToolState>>,
    limits: Arc<Limits>,
}

/// The binding of an instance to one app and one run.
pub struct ToolBinding {
    pub vaults: SecretVaults,
    pub context: ReleaseContext,
    pub released: Arc<ReleasedSecrets>,
    pub log: Arc<dyn ReleaseLog>,
    pub egress: Egress,
    pub metrics: Metrics,
}

impl ToolBinding {
    /// Returns a binding to an app that does not exist, without any origin.
    pub fn to_nothing(
        tool: &str,
        digest: Digest,
        vaults: SecretVaults,
        released: Arc<ReleasedSecrets>,
        log: Arc<dyn ReleaseLog>,
        egress: &EgressPool,
    ) -> Self {
        let scope = EgressScope {
            app: String::new(),
            tool: tool.to_owned(),
        };
        let unheard = Arc::new(|_: &EgressDenied| {});
        Self {
            vaults,
            context: ReleaseContext::new(AppId::make(), tool, digest.to_string()),
            egress: egress.open(scope, [], Arc::clone(&released), unheard),
            released,
            log,
            metrics: Metrics::new(),
        }
    }
}

/// Why a call ended without the tool's own answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolFailure {
    #[error(transparent)]
    Limit(#[from] LimitHit),
    #[error("the host has no room for another instance")]
    Busy(wasmtime::Error),
    #[error("{0}")]
    BadDescription(String),
    #[error("the tool stopped unexpectedly: {}", .0.root_cause())]
    Trapped(wasmtime::Error),
    #[error("the tool gave no answer")]
    Unanswered,
}

impl ToolFailure {
    /// Names the cause of an error from the guest. The guest's meter knows what the guest was last
    /// denied.
    fn of(error: wasmtime::Error, meter: &Meter) -> Self {
        match meter.limit_behind(&error) {
            Some(hit) => Self::Limit(hit),
            None if error.is::<wasmtime::PoolConcurrencyLimitError>() => Self::Busy(error),
            None => Self::Trapped(error),
        }
    }
}

/// The state of a tool's store.
pub struct ToolState {
    secrets: SecretsCapability,
    egress: Egress,
    config: ConfigCapability,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    meter: Meter,
    log: ToolLog,
}

impl Drop for ToolState {
    fn drop(&mut self) {
        self.log.end();
    }
}

impl WasiView for ToolState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for ToolState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.egress,
        }
    }
}

/// Returns the linker of the trusted class: `secrets`, HTTP through the egress policy,
/// configuration, and a mute WASI.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<ToolState>> {
    let mut linker = Linker::new(engine);
    secrets::add_to_linker(&mut linker, |state: &mut ToolState| &mut state.secrets)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    config_store::add_to_linker::<_, HasSelf<ConfigCapability>>(
        &mut linker,
        |state: &mut ToolState| &mut state.config,
    )?;
    Ok(linker)
}

/// Links a component that inspection has accepted. An error says which of its types do not fit.
pub(crate) fn prepare(
    linker: &Linker<ToolState>,
    component: &Component,
) -> wasmtime::Result<TrustedToolPre<ToolState>> {
    let pre: InstancePre<ToolState> = linker.instantiate_pre(component)?;
    TrustedToolPre::new(pre)
}

impl ToolComponent {
    /// Asks the component once for its operations. The instance for this can resolve no secret and
    /// reach no origin.
    pub async fn load(
        name: Arc<str>,
        inspection: Inspection,
        grants: ToolGrants,
        pre: TrustedToolPre<ToolState>,
        limits: Arc<Limits>,
        for_nothing: ToolBinding,
    ) -> Result<Self, ToolFailure> {
        let mut tool = Self {
            name,
            inspection,
            grants: ToolGrants {
                by: GrantedBy::Manifest,
                keeps_session: false,
                secrets: SecretGrants::none(),
                origins: Arc::new([]),
                config: Arc::clone(&grants.config),
            },
            // A tool without this export cannot answer HTTP requests. Agents can still call it.
            http: ProxyPre::new(pre.instance_pre().clone()).ok(),
            operations: Arc::new([]),
            api: None,
            pre,
            limits,
        };
        let mut instance = tool.instantiate(for_nothing).await?;
        tool.operations = instance.describe().await?.into();
        check(&tool.operations)?;
        tool.grants = grants;
        Ok(tool)
    }

    /// Returns the limits of the tool's instances.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the same component under another name, with other grants.
    pub fn granted(&self, name: Arc<str>, grants: ToolGrants) -> Self {
        Self {
            name,
            grants,
            inspection: self.inspection.clone(),
            operations: Arc::clone(&self.operations),
            api: None,
            pre: self.pre.clone(),
            http: self.http.clone(),
            limits: Arc::clone(&self.limits),
        }
    }

    /// Returns the same component as the tool of one HTTP API, with the operations of the API's
    /// entry.
    pub fn serving(&self, name: Arc<str>, grants: ToolGrants, api: Arc<HttpApi>) -> Self {
        let operations = api.operations().iter().map(|operation| Operation {
            name: operation.name.clone(),
            description: operation.description.clone(),
            input_schema: operation.input_schema.clone(),
        });
        Self {
            operations: operations.collect(),
            api: Some(api),
            ..self.granted(name, grants)
        }
    }

    /// Returns the operation of this name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|known| known.name == name)
    }

    /// Returns a fresh instance for one app and one run.
    pub async fn instantiate(&self, binding: ToolBinding) -> Result<ToolInstance, ToolFailure> {
        let mut store = self.store(binding);
        let started = within(
            self.limits.tool.wall_clock_ms,
            Section::Tool.wall_clock(),
            self.pre.instantiate_async(&mut store),
        )
        .await?;
        match started {
            Ok(guest) => Ok(ToolInstance {
                guest,
                store,
                limits: Arc::clone(&self.limits),
                wall_clock: self.wall_clock(),
            }),
            Err(error) => Err(ToolFailure::of(error, &store.data().meter)),
        }
    }

    /// Returns the time limit of a whole call in milliseconds, and the limit's name.
    fn wall_clock(&self) -> (u64, &'static str) {
        match self.grants.keeps_session {
            false => (self.limits.tool.wall_clock_ms, Section::Tool.wall_clock()),
            true => (self.limits.mcp.wall_clock_ms, "limits.mcp.wall_clock_ms"),
        }
    }

    /// Returns the store of a fresh instance.
    fn store(&self, binding: ToolBinding) -> Store<ToolState> {
        let log = ToolLog::new(
            Arc::clone(&self.name),
            Arc::clone(&binding.released),
            self.limits.tool.max_log_bytes,
            binding.metrics.clone(),
        );
        let mut table = ResourceTable::new();
        table.set_max_capacity(self.limits.tool.max_resources);
        let state = ToolState {
            config: ConfigCapability::new(
                Arc::clone(&self.grants.config),
                Arc::clone(&self.grants.secrets.names),
                binding.vaults.clone(),
                binding.context.app_id,
            ),
            secrets: SecretsCapability::new(
                binding.vaults,
                binding.context,
                self.grants.secrets.clone(),
                binding.released,
                (binding.egress.opened(), binding.egress.stand_ins()),
                Denials::new(binding.log, self.limits.tool.max_recorded_denials),
                binding.metrics,
            ),
            egress: binding.egress,
            wasi: mute_wasi(log.clone()),
            http: WasiHttpCtx::new(),
            table,
            meter: Meter::for_tool(&self.limits),
            log,
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(self.limits.tool.hostcall_fuel_bytes);
        store.epoch_deadline_callback(|mut store| store.data_mut().meter.tick());
        store.set_epoch_deadline(1);
        store
    }
}

/// One instance of a trusted tool, bound to one app for one run.
pub struct ToolInstance {
    guest: TrustedTool,
    store: Store<ToolState>,
    limits: Arc<Limits>,
    wall_clock: (u64, &'static str),
}

impl ToolInstance {
    /// Calls one operation. After an error the instance must not be used again.
    pub async fn call(
        &mut self,
        operation: &str,
        input: &str,
    ) -> Result<Result<String, ToolError>, ToolFailure> {
        let guest = self.guest.tavora_platform_tool();
        let input = input.to_owned();
        let state = self.store.data_mut();
        state.secrets.start_call();
        state.meter.restart_clock();
        let (wall_clock_ms, limit) = self.wall_clock;
        let answer = within(
            wall_clock_ms,
            limit,
            guest.call_call(&mut self.store, operation, &input),
        )
        .await?
        .map_err(|error| ToolFailure::of(error, &self.store.data().meter))?;
        let bytes = match &answer {
            Ok(json) => json.len(),
            Err(error) => error.code.len() + error.message.len(),
        };
        if bytes > self.limits.tool.max_output_bytes {
            return Err(LimitHit {
                limit: "limits.tool.max_output_bytes",
                allowed: self.limits.tool.max_output_bytes as u64,
            }
            .into());
        }
        Ok(answer)
    }

    /// Returns the findings of an MCP client about its server. This sends no request.
    pub async fn found(&mut self) -> Result<String, ToolFailure> {
        self.call(FOUND, "{}")
            .await?
            .map_err(|_| ToolFailure::Unanswered)
    }

    /// Lets the client of an MCP server end its session.
    pub async fn end(&mut self) -> Result<(), ToolFailure> {
        self.wall_clock = (self.limits.mcp.end_ms, "limits.mcp.end_ms");
        let ended = self.call(END, "{}").await?;
        ended.map(drop).map_err(|_| ToolFailure::Unanswered)
    }

    async fn describe(&mut self) -> Result<Vec<Operation>, ToolFailure> {
        let guest = self.guest.tavora_platform_tool();
        within(
            self.limits.tool.wall_clock_ms,
            Section::Tool.wall_clock(),
            guest.call_describe(&mut self.store),
        )
        .await?
        .map_err(|error| ToolFailure::of(error, &self.store.data().meter))
    }
}

/// Checks that the description of a tool can be shown to agents.
fn check(operations: &[Operation]) -> Result<(), ToolFailure> {
    let mut names = BTreeSet::new();
    for Operation {
        name, input_schema, ..
    } in operations
    {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(ToolFailure::BadDescription(format!(
                "{:?} is not an operation's name: 1 to 64 characters of a-z, 0-9 and _",
                name.chars().take(64).collect::<String>()
            )));
        }
        if !names.insert(name) {
            return Err(ToolFailure::BadDescription(format!(
                "it has two operations {name:?}"
            )));
        }
        if let Err(error) =
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(input_schema)
        {
            return Err(ToolFailure::BadDescription(format!(
                "the input schema of {name:?} is not a JSON object: {error}"
            )));
        }
    }
    Ok(())
}

/// Returns a WASI context for toolchains that expect one. It has no environment, no arguments, no
/// files, no sockets and no standard input.
fn mute_wasi(log: ToolLog) -> WasiCtx {
    WasiCtx::builder()
        .stdout(log.clone())
        .stderr(log)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_that_cannot_be_shown_is_refused() {
        let described = |operations: &[(&str, &str)]| {
            let operations: Vec<Operation> = operations
                .iter()
                .map(|(name, schema)| Operation {
                    name: (*name).to_owned(),
                    description: "Does it.".to_owned(),
                    input_schema: (*schema).to_owned(),
                })
                .collect();
            check(&operations).map_err(|failure| failure.to_string())
        };
        let longest = "a".repeat(64);
        assert_eq!(
            described(&[("look_up_2", "{}"), (&longest, "{\"type\":\"object\"}")]),
            Ok(())
        );
        let too_long = "a".repeat(65);
        for (operations, says) in [
            (&[("", "{}")][..], "not an operation's name"),
            (&[(&too_long, "{}")], "not an operation's name"),
            (&[("Search", "{}")], "not an operation's name"),
            (&[("a\nb", "{}")], "not an operation's name"),
            (&[("a", "{}"), ("a", "{}")], "two operations \"a\""),
            (&[("a", "[]")], "input schema of \"a\""),
            (&[("a", "{")], "input schema of \"a\""),
        ] {
            let refused = described(operations).expect_err(says);
            assert!(refused.contains(says), "{refused}");
        }
    }
}
