//! The host's metrics, in the text format of OpenMetrics.
//!
//! One [`Metrics`] per platform, no global one. Everything that can become a label is a word of this program, the name
//! of a tool that the operator lists, a route's template or a KEK's id: never a secret's name, an app, a URL or a text
//! that someone made up, so that the number of series is bounded and nothing leaks. Nothing is timed here.

use std::borrow::Cow;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use vault_core::{KekState, KekStatus, SecretVaults};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "tavora";

/// Seconds: from a read of the store to a run of an agent.
const DURATIONS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Seconds: from a local envelope to a key service on a network.
const CRYPTO_DURATIONS: [f64; 10] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0,
];

/// A step of the vault's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VaultStep {
    /// Waiting until a change or a release and its audit entry are committed.
    Commit,
    /// Sealing a value.
    Seal,
    /// Opening one.
    Open,
}

/// The metrics of one platform. A clone counts in the same ones.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Timed<Labels<2>>,
    runs: Timed<NoLabels>,
    tool_calls: Timed<Labels<1>>,
    releases: Timed<Labels<1>>,
    egress: Timed<Labels<1>>,
    egress_denied: Family<Labels<2>, Counter>,
    leaks_blocked: Family<Labels<1>, Counter>,
    limits_hit: Family<Labels<1>, Counter>,
    audit_wait: Histogram,
    seals: Histogram,
    opens: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// With everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let to = &mut registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        to.register("build", "This program", build);
        let started: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        started.set(seconds_now());
        to.register_with_unit(
            "process_start_time",
            "When the process began to count, since 1970",
            Unit::Seconds,
            started,
        );
        let inner = Inner {
            requests: Timed::new(
                to,
                "http_request",
                "requests to the HTTP API, to the head of the answer",
                "status",
            ),
            runs: Timed::new(to, "sandbox_run", "runs of agents' programs", "outcome"),
            tool_calls: Timed::new(to, "tool_call", "calls of trusted tools", "outcome"),
            releases: Timed::new(
                to,
                "secret_release",
                "releases of secrets to trusted tools, the wait for their audit entries included",
                "outcome",
            ),
            egress: Timed::new(
                to,
                "egress_request",
                "requests of trusted tools, to the head of the answer",
                "outcome",
            ),
            egress_denied: family(
                to,
                "egress_denied",
                "Requests of trusted tools that the egress policy refused",
            ),
            leaks_blocked: family(
                to,
                "leaks_blocked",
                "Secrets that were taken out of tools' answers",
            ),
            limits_hit: family(to, "limits_hit", "Limits that were hit, by their keys"),
            audit_wait: histogram(
                to,
                "audit_wait",
                "How long changes and releases wait until their audit entries are committed",
                DURATIONS,
            ),
            seals: histogram(
                to,
                "vault_seal_duration",
                "How long it takes to seal a secret",
                CRYPTO_DURATIONS,
            ),
            opens: histogram(
                to,
                "vault_open_duration",
                "How long it takes to open a secret",
                CRYPTO_DURATIONS,
            ),
            registry,
        };
        Self(Arc::new(inner))
    }

    /// All of them as text, with the KEKs as the store has them now. See [`CONTENT_TYPE`].
    pub async fn render(&self, vaults: &SecretVaults) -> String {
        let mut now = Registry::with_prefix(PREFIX);
        match vaults.kek_status().await {
            Ok(status) => register_keks(&mut now, &status),
            Err(error) => tracing::error!(%error, "the KEKs' metrics are left out"),
        }
        let mut text = String::new();
        text::encode_registry(&mut text, &self.0.registry)
            .and_then(|()| text::encode_registry(&mut text, &now))
            .and_then(|()| text::encode_eof(&mut text))
            .expect("a string takes whatever is written to it");
        text
    }

    /// A limit was hit; `limit` is its key in `tavora.toml`, with its section.
    pub fn limit_hit(&self, limit: &'static str) {
        let labels = [("limit", Cow::Borrowed(limit))];
        self.0.limits_hit.get_or_create(&labels).inc();
    }

    /// A request was answered, or its client has gone; `outcome` is the class of the status.
    pub(crate) fn request_ended(
        &self,
        route: &str,
        method: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = [("route", owned(route)), ("method", method.into())];
        self.0.requests.observe(labels, outcome, took);
    }

    /// An agent's program ended.
    pub(crate) fn run_ended(&self, outcome: &'static str, took: Duration) {
        self.0.runs.observe(NoLabels, outcome, took);
    }

    /// A tool's call ended. Without `tool`, the caller asked for one that is not there.
    pub(crate) fn tool_call_ended(
        &self,
        tool: Option<&str>,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = [("tool", tool.map_or("".into(), owned))];
        self.0.tool_calls.observe(labels, outcome, took);
    }

    /// A secret was released to a tool, or not.
    pub(crate) fn release_ended(&self, tool: &str, outcome: &'static str, took: Duration) {
        self.0
            .releases
            .observe([("tool", owned(tool))], outcome, took);
    }

    /// A tool asked for a secret that it is not granted.
    pub(crate) fn release_denied(&self, tool: &str) {
        let labels = [("tool", owned(tool))];
        self.0.releases.count(labels, "not_granted");
    }

    /// A tool's request has the head of its answer, or failed.
    pub(crate) fn egress_ended(&self, tool: &str, outcome: &'static str, took: Duration) {
        self.0
            .egress
            .observe([("tool", owned(tool))], outcome, took);
    }

    /// The egress policy refused something to a tool.
    pub(crate) fn egress_denied(&self, tool: &str, reason: &'static str) {
        let labels = [("tool", owned(tool)), ("reason", reason.into())];
        self.0.egress_denied.get_or_create(&labels).inc();
    }

    /// A secret was taken out of a tool's answer.
    pub(crate) fn leak_blocked(&self, tool: &str) {
        let labels = [("tool", owned(tool))];
        self.0.leaks_blocked.get_or_create(&labels).inc();
    }

    /// A step of the vault's work took this long.
    pub(crate) fn vault_step(&self, step: VaultStep, took: Duration) {
        let histogram = match step {
            VaultStep::Commit => &self.0.audit_wait,
            VaultStep::Seal => &self.0.seals,
            VaultStep::Open => &self.0.opens,
        };
        histogram.observe(took.as_secs_f64());
    }
}

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NoLabels;

impl EncodeLabelSet for NoLabels {
    fn encode(
        &self,
        _: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        Ok(())
    }
}

/// Things that take time and end one way or another: how many ended how, and how long they took.
#[derive(Debug)]
struct Timed<L> {
    outcome: &'static str,
    ended: Family<(L, Labels<1>), Counter>,
    took: Family<L, Histogram, fn() -> Histogram>,
}

impl<L> Timed<L>
where
    L: Clone + std::fmt::Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static,
{
    fn new(to: &mut Registry, name: &str, what: &str, outcome: &'static str) -> Self {
        let took = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> _);
        to.register_with_unit(
            format!("{name}_duration"),
            format!("How long they took: {what}"),
            Unit::Seconds,
            took.clone(),
        );
        Self {
            outcome,
            ended: family(to, &format!("{name}s"), &format!("How many: {what}")),
            took,
        }
    }

    fn observe(&self, labels: L, outcome: &'static str, took: Duration) {
        self.took.get_or_create(&labels).observe(took.as_secs_f64());
        self.count(labels, outcome);
    }

    /// One that took no time to speak of.
    fn count(&self, labels: L, outcome: &'static str) {
        let outcome = [(self.outcome, outcome.into())];
        self.ended.get_or_create(&(labels, outcome)).inc();
    }
}

fn family<L>(to: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone + std::fmt::Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static,
{
    let family = Family::<L, Counter>::default();
    to.register(name, help, family.clone());
    family
}

fn histogram<const N: usize>(
    to: &mut Registry,
    name: &str,
    help: &str,
    buckets: [f64; N],
) -> Histogram {
    let histogram = Histogram::new(buckets);
    to.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

/// Gauges of what the store knows of KEKs, made afresh so that a KEK that is gone leaves no series.
fn register_keks(to: &mut Registry, status: &KekStatus) {
    let state = Family::<Labels<1>, Gauge>::default();
    let is = match status.state {
        KekState::Unset => "unset",
        KekState::Ready => "ready",
        KekState::Mismatch { .. } => "mismatch",
        KekState::CanaryFailed { .. } => "canary_failed",
    };
    for word in ["unset", "ready", "mismatch", "canary_failed"] {
        let labels = [("state", word.into())];
        state.get_or_create(&labels).set(i64::from(word == is));
    }
    to.register("kek_state", "1 for the state that the keyring is in", state);
    let (rows, wraps) = (Family::default(), Family::default());
    for kek in &status.keks {
        let labels: Labels<1> = [("kek_id", kek.kek_id.to_string().into())];
        let set = |family: &Family<Labels<1>, Gauge>, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&labels).set(value);
        };
        set(&rows, kek.rows);
        set(&wraps, kek.wraps);
    }
    to.register("kek_rows", "Secrets that are wrapped with the KEK", rows);
    to.register("kek_wraps", "DEKs that the KEK has wrapped in all", wraps);
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

fn seconds_now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
