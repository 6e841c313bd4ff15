//! The host's metrics, in the text format of OpenMetrics.
//!
//! Each platform has its own [`Metrics`]; there is no global one. A label's value is always a word
//! of this program, the name of a tool that the operator lists, a route's template or a KEK's id.
//! It is never a secret's name, an app, a URL or other free text, so that the number of series is
//! bounded and nothing leaks. Nothing is timed here.

mod counted;
mod labels;
mod vaults;

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
use vault_core::{KekStatus, SecretVaults};

pub use self::counted::Counted;
use self::labels::{Labels, NoLabels};
use crate::walk::WalkView;

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "tavora";

/// Bucket limits in seconds, from a read of the store to a run of an agent.
const DURATIONS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// The metrics of one platform. Clones share their counters.
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
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns metrics with everything at zero.
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
            registry,
        };
        Self(Arc::new(inner))
    }

    /// Returns all metrics as text, in the format of [`CONTENT_TYPE`]. The vaults' own counters are
    /// read now; the KEKs' figures may be older.
    pub async fn render(
        &self,
        vaults: &SecretVaults,
        keks: &Counted<KekStatus>,
        walk: &WalkView,
    ) -> String {
        let mut now = Registry::with_prefix(PREFIX);
        vaults::register(&mut now, vaults, keks).await;
        vaults::register_walk(&mut now, walk);
        let mut text = String::new();
        text::encode_registry(&mut text, &self.0.registry)
            .and_then(|()| text::encode_registry(&mut text, &now))
            .and_then(|()| text::encode_eof(&mut text))
            .expect("a string takes whatever is written to it");
        text
    }

    /// Counts a limit that was reached. `limit` is its key in `tavora.toml`, with its section.
    pub fn limit_hit(&self, limit: &'static str) {
        let labels = [("limit", Cow::Borrowed(limit))];
        self.0.limits_hit.get_or_create(&labels).inc();
    }

    /// Counts a request that was answered, or whose client has gone. `outcome` is the class of the
    /// status.
    pub fn request_ended(
        &self,
        route: &str,
        method: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = [("route", owned(route)), ("method", method.into())];
        self.0.requests.observe(labels, outcome, took);
    }

    /// Counts a run of an agent's program that ended.
    pub fn run_ended(&self, outcome: &'static str, took: Duration) {
        self.0.runs.observe(NoLabels, outcome, took);
    }

    /// Counts a tool call that ended. `tool` is `None` if the requested tool does not exist.
    pub fn tool_call_ended(&self, tool: Option<&str>, outcome: &'static str, took: Duration) {
        let labels = [("tool", tool.map_or("".into(), owned))];
        self.0.tool_calls.observe(labels, outcome, took);
    }

    /// Counts an attempt to release a secret to a tool.
    pub fn release_ended(&self, tool: &str, outcome: &'static str, took: Duration) {
        self.0
            .releases
            .observe([("tool", owned(tool))], outcome, took);
    }

    /// Counts a tool's request for a secret that it is not granted.
    pub fn release_denied(&self, tool: &str) {
        let labels = [("tool", owned(tool))];
        self.0.releases.count(labels, "not_granted");
    }

    /// Counts a tool's HTTP request, when the head of the response is there or the request failed.
    pub fn egress_ended(&self, tool: &str, outcome: &'static str, took: Duration) {
        self.0
            .egress
            .observe([("tool", owned(tool))], outcome, took);
    }

    /// Counts a refusal by the egress policy.
    pub fn egress_denied(&self, tool: &str, reason: &'static str) {
        let labels = [("tool", owned(tool)), ("reason", reason.into())];
        self.0.egress_denied.get_or_create(&labels).inc();
    }

    /// Counts a secret that was removed from a tool's answer.
    pub fn leak_blocked(&self, tool: &str) {
        let labels = [("tool", owned(tool))];
        self.0.leaks_blocked.get_or_create(&labels).inc();
    }
}

/// Counts work by its outcome, and measures how long it took.
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

    /// Counts work whose duration is not worth measuring.
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

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

fn seconds_now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(any(test, feature = "testing"))]
impl Metrics {
    /// Returns the metrics that this type counts itself.
    pub fn registered(&self) -> String {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.0.registry).expect("a string takes it");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_counted_by_its_outcome_and_timed() {
        let metrics = Metrics::new();
        metrics.run_ended("ok", Duration::from_millis(3));
        metrics.run_ended("threw", Duration::from_secs(100));
        metrics.tool_call_ended(Some("search"), "ok", Duration::from_micros(1));
        metrics.tool_call_ended(None, "unknown_tool", Duration::ZERO);
        metrics.release_ended("search", "not_found", Duration::ZERO);
        metrics.release_denied("search");
        metrics.egress_ended("search", "2xx", Duration::ZERO);
        metrics.egress_denied("search", "origin_not_granted");
        metrics.leak_blocked("search");
        metrics.limit_hit("limits.agent.cpu_ms");
        let text = metrics.clone().registered();
        for line in [
            r#"tavora_sandbox_runs_total{outcome="ok"} 1"#,
            r#"tavora_sandbox_runs_total{outcome="threw"} 1"#,
            r#"tavora_sandbox_run_duration_seconds_bucket{le="0.0025"} 0"#,
            r#"tavora_sandbox_run_duration_seconds_bucket{le="0.005"} 1"#,
            r#"tavora_sandbox_run_duration_seconds_bucket{le="+Inf"} 2"#,
            r#"tavora_tool_calls_total{tool="search",outcome="ok"} 1"#,
            r#"tavora_tool_calls_total{tool="",outcome="unknown_tool"} 1"#,
            r#"tavora_secret_releases_total{tool="search",outcome="not_found"} 1"#,
            r#"tavora_secret_releases_total{tool="search",outcome="not_granted"} 1"#,
            r#"tavora_secret_release_duration_seconds_count{tool="search"} 1"#,
            r#"tavora_egress_requests_total{tool="search",outcome="2xx"} 1"#,
            r#"tavora_egress_denied_total{tool="search",reason="origin_not_granted"} 1"#,
            r#"tavora_leaks_blocked_total{tool="search"} 1"#,
            r#"tavora_limits_hit_total{limit="limits.agent.cpu_ms"} 1"#,
            concat!(
                r#"tavora_build_info{version=""#,
                env!("CARGO_PKG_VERSION"),
                r#""} 1"#
            ),
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(
            text.contains("\ntavora_process_start_time_seconds 1"),
            "{text}"
        );
    }
}
