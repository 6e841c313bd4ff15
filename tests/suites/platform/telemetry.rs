//! Tests of the host's reports about itself: metrics and traces. They hold everything that
//! happened. They hold no secret's name or value, no app's data, and no text that somebody made up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tavora_host::api::admin_token::AdminToken;
use tavora_host::api::{self, Api};
use tavora_host::config::{Config, ServerConfig};
use tavora_host::telemetry::traces::Traces;
use tavora_tests::binary::{Ended, host, run};
use tavora_tests::collector::{Collector, attribute};
use tavora_tests::eventually::report;
use tavora_tests::fixture::{CANARY, Fixture, SEARCH_SECRET, operator};
use tavora_tests::upstream::{Upstream, search_results};
use tower::ServiceExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::canary::assert_absent;

const MADE_UP: &str = "made_up_by_an_agent";

/// Searches twice, asks for a missing tool and a missing operation, and never ends.
const PROGRAM: &str = "\
    search('what-was-searched'); search('what-was-searched');
    try { tools.call('made_up_by_an_agent', 'x', {}) } catch {}
    try { tools.call('brave-search', 'made_up_by_an_agent', {}) } catch {}
    for (;;) {}";

/// The traces and metrics of an app's run over the HTTP API.
struct Seen {
    collector: Collector,
    metrics: String,
    upstream: Upstream,
    app: String,
    /// All texts that the API and the run could have given away.
    private: Vec<String>,
}

/// Runs [`PROGRAM`] as a part of a client's trace, with an upstream that echoes the credential.
async fn run_of_an_app() -> Seen {
    let collector = Collector::start().await;
    let upstream = Upstream::start(|_| search_results(&[&format!("echo {CANARY}")])).await;
    let url = upstream.url();
    let config = format!(
        "[egress]\nallow_private_origins = [{url:?}]\n[limits.agent]\ncpu_ms = 200\n\
         [telemetry]\notlp_endpoint = {:?}\n[tools.brave-search.config]\nbase_url = {url:?}\n",
        collector.url()
    );
    let fixture = Fixture::start(&config).await;
    let config = Config::parse(&config).expect("valid");
    let runtime = tokio::runtime::Handle::current();
    let traces = Traces::start(&config.telemetry, None, runtime).expect("valid");
    let traces = traces.expect("there is a collector");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    let guard = tracing::subscriber::set_default(subscriber);

    let name = "key".parse().expect("valid");
    let made = fixture
        .vaults()
        .create_api_key(&operator(), fixture.app.id, name, None)
        .await;
    let (_, key) = made.expect("the app is there");
    let private = vec![
        CANARY.to_owned(),
        SEARCH_SECRET.to_owned(),
        MADE_UP.to_owned(),
        "what-was-searched".to_owned(),
        "/res/v1".to_owned(),
        "tracestate-of-the-client".to_owned(),
        fixture.vault.id.to_string(),
        key.to_string(),
    ];
    let app = fixture.app.id.to_string();
    let token = AdminToken::parse(&"t".repeat(40)).expect("long enough");
    let router = api::router(
        Api::new(fixture.platform, token, &ServerConfig::default()),
        ("/admin", axum::Router::new()),
    );
    let target = format!("/api/sdk/secret-vaults/{}/secrets", fixture.vault.id);
    let execute = serde_json::json!({ "code": PROGRAM }).to_string();
    let mut metrics = String::new();
    for (method, target, body, status) in [
        ("POST", "/api/sdk/sandbox/execute", &*execute, 200),
        ("GET", &target, "", 200),
        ("GET", &format!("/{MADE_UP}"), "", 404),
        ("GET", "/metrics", "", 200),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "localhost")
            .header("x-api-key", &**key)
            .header("x-request-id", "of-the-client")
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .header("tracestate", "vendor=tracestate-of-the-client")
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .expect("valid");
        let response = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), status, "{target}");
        let body = to_bytes(response.into_body(), 1 << 20).await;
        metrics = String::from_utf8(body.expect("a body").to_vec()).expect("text");
    }
    drop(guard);
    let flushed = tokio::task::spawn_blocking(move || traces.flush()).await;
    flushed.expect("no panic");
    Seen {
        collector,
        metrics,
        upstream,
        app,
        private,
    }
}

#[tokio::test]
async fn metrics_tell_what_happened_and_nothing_that_is_someones_own() {
    let seen = run_of_an_app().await;
    let text = &seen.metrics;
    for line in [
        r#"tavora_http_requests_total{route="/api/sdk/sandbox/execute",method="POST",status="2xx"} 1"#,
        r#"tavora_http_requests_total{route="/api/sdk/secret-vaults/{id}/secrets",method="GET",status="2xx"} 1"#,
        r#"tavora_http_requests_total{route="unmatched",method="GET",status="4xx"} 1"#,
        r#"tavora_sandbox_runs_total{outcome="limit_exceeded"} 1"#,
        r#"tavora_limits_hit_total{limit="limits.agent.cpu_ms"} 1"#,
        r#"tavora_tool_calls_total{tool="brave-search",outcome="ok"} 2"#,
        r#"tavora_tool_calls_total{tool="brave-search",outcome="unknown_operation"} 1"#,
        r#"tavora_tool_calls_total{tool="",outcome="unknown_tool"} 1"#,
        r#"tavora_secret_releases_total{tool="brave-search",outcome="ok"} 2"#,
        r#"tavora_egress_requests_total{tool="brave-search",outcome="2xx"} 2"#,
        r#"tavora_leaks_blocked_total{tool="brave-search"} 2"#,
        "tavora_vault_seals_total 1",
        "tavora_vault_opens_total 2",
        "tavora_store_writes_waiting 0",
        r#"tavora_kek_state{state="ready"} 1"#,
        r#"tavora_kek_state{state="mismatch"} 0"#,
        "tavora_kek_walk_running 0",
        r#"tavora_kek_walk_secrets{figure="moved"} 0"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    for timed in [
        "tavora_audit_lag_seconds ",
        "tavora_store_write_time_seconds_total ",
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(timed));
        let seconds: f64 = line.expect(timed).parse().expect("a number");
        assert!(seconds > 0.0 && seconds < 60.0, "{text}");
    }
    for gauge in ["tavora_kek_rows{kek_id=", "tavora_kek_wraps{kek_id="] {
        let line = text.lines().find(|line| line.starts_with(gauge));
        assert!(line.is_some_and(|line| line.ends_with("\"} 1")), "{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("tavora_"), "{line}");
    }
    assert_absent("the metrics", text.as_bytes());
    for private in seen.private.iter().chain([&seen.app]) {
        assert!(!text.contains(private), "{private}\n{text}");
    }
}

#[tokio::test]
async fn a_trace_leads_from_the_request_to_the_upstream() {
    let seen = run_of_an_app().await;
    let spans = seen.collector.spans();
    assert!(spans.iter().all(|(service, _)| service == "tavora-host"));
    let named = |name: &str| -> Vec<&Span> {
        let spans = spans.iter().map(|(_, span)| span);
        spans.filter(|span| span.name == name).collect()
    };
    let (requests, runs) = (named("http_request"), named("sandbox_run"));
    let (calls, releases) = (named("tool_call"), named("secret_release"));
    let egress = named("egress_request");
    let counts = [
        requests.len(),
        runs.len(),
        calls.len(),
        releases.len(),
        egress.len(),
    ];
    assert_eq!(counts, [4, 1, 4, 2, 2]);
    assert_eq!(counts.iter().sum::<usize>(), spans.len(), "{spans:#?}");

    for request in &requests {
        assert_eq!(
            hex::encode(&request.trace_id),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(hex::encode(&request.parent_span_id), "b7ad6b7169203331");
        assert_eq!(request.kind(), SpanKind::Server);
    }
    assert_eq!(runs[0].parent_span_id, requests[0].span_id);
    for call in &calls {
        assert_eq!(call.parent_span_id, runs[0].span_id);
    }
    for inner in [&releases, &egress] {
        for (inner, call) in inner.iter().zip(&calls) {
            assert_eq!(inner.parent_span_id, call.span_id);
            assert_eq!(inner.trace_id, requests[0].trace_id);
        }
    }

    assert_attributes(
        requests[0],
        &[
            ("request_id", "of-the-client"),
            ("method", "POST"),
            ("route", "/api/sdk/sandbox/execute"),
            ("app_id", &seen.app),
            ("status", "200"),
        ],
    );
    assert_attributes(
        requests[2],
        &[
            ("request_id", "of-the-client"),
            ("method", "GET"),
            ("status", "404"),
        ],
    );
    let session = attribute(runs[0], "session_id").expect("a run has one");
    let run = [
        ("app_id", &*seen.app),
        ("session_id", &session),
        ("outcome", "limit_exceeded"),
    ];
    assert_attributes(runs[0], &run);
    let (tool, ok) = (("tool", "brave-search"), ("outcome", "ok"));
    assert_attributes(calls[0], &[tool, ("operation", "search"), ok]);
    assert_attributes(calls[2], &[("outcome", "unknown_tool")]);
    assert_attributes(calls[3], &[tool, ("outcome", "unknown_operation")]);
    assert_attributes(releases[0], &[tool, ok]);
    let origin = ("origin", seen.upstream.url());
    let request = [
        tool,
        ("method", "GET"),
        origin,
        ("status", "200"),
        ("outcome", "2xx"),
    ];
    assert_attributes(egress[0], &request);
    assert_eq!(egress[0].kind(), SpanKind::Client);

    for (_, span) in &spans {
        assert!(
            span.events.is_empty(),
            "lines of the log were exported: {span:?}"
        );
    }
    for batch in seen.collector.batches() {
        assert_absent("the exported spans", &batch.body);
        for private in &seen.private {
            let mut windows = batch.body.windows(private.len());
            assert!(!windows.any(|it| it == private.as_bytes()), "{private}");
        }
    }
    for request in seen.upstream.seen() {
        assert!(!request.headers.contains_key("traceparent"));
    }
}

/// Checks that a span has these attributes and no others.
fn assert_attributes(span: &Span, expected: &[(&str, &str)]) {
    let found: BTreeMap<_, _> = span
        .attributes
        .iter()
        .map(|it| {
            (
                it.key.clone(),
                attribute(span, &it.key).expect("it is there"),
            )
        })
        .collect();
    let expected = expected
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    assert_eq!(found, expected.collect(), "{}", span.name);
}

/// A data folder with an app and this configuration.
fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("tavora.toml"), config).expect("writable");
    let created = run(folder.path(), &["app", "create", "shop"]);
    assert_eq!(created.status, 0, "{created:?}");
    folder
}

/// Runs a program that returns 1 with `tavora-host run` and these variables. Returns the time too.
async fn run_with(folder: &tempfile::TempDir, variables: &[(&str, &str)]) -> (Ended, Duration) {
    let mut command = host(folder.path());
    command.args(["run", "-e", "return 1"]);
    command.envs(variables.iter().copied());
    let ran = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let output = command.output().expect("the binary starts");
        let ended = Ended {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        (ended, started.elapsed())
    });
    ran.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_variables_name_the_collector_the_service_and_the_headers() {
    let collector = Collector::start().await;
    let folder = folder("");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            &format!("authorization=Bearer {CANARY}"),
        ),
        ("OTEL_SERVICE_NAME", "mine"),
        ("RUST_LOG", "trace"),
    ];
    let (ended, _) = run_with(&folder, &variables).await;
    assert_eq!((ended.status, &*ended.stdout), (0, "1\n"), "{ended:?}");
    assert_absent("the log", ended.stderr.as_bytes());
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!((&*spans[0].0, &*spans[0].1.name), ("mine", "sandbox_run"));
    let headers = &collector.batches()[0].headers;
    assert_eq!(headers["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(headers["content-type"], "application/x-protobuf");

    // The variable for traces takes precedence, and nothing accepts them there.
    let elsewhere = format!("{}/elsewhere", collector.url());
    let for_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*elsewhere);
    let (ended, _) = run_with(&folder, &[&variables[..], &[for_traces]].concat()).await;
    assert!(ended.stderr.contains("it answered 404"), "{ended:?}");
    assert_absent("the log", ended.stderr.as_bytes());
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_or_silent_holds_nothing_up_and_is_logged_once() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let silent_url = format!("http://{}", silent.local_addr().expect("bound"));
    let down = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let down_url = format!("http://{}", down.local_addr().expect("bound"));
    drop(down);
    for (url, reason) in [
        (
            silent_url,
            "did not answer within [telemetry] export_timeout_ms",
        ),
        (down_url, "cannot be reached: Connection refused"),
    ] {
        let folder = folder(&format!(
            "[telemetry]\notlp_endpoint = {url:?}\nexport_timeout_ms = 300\n"
        ));
        let (ended, took) = run_with(&folder, &[]).await;
        assert_eq!((ended.status, &*ended.stdout), (0, "1\n"), "{ended:?}");
        assert!(ended.stderr.contains(reason), "{ended:?}");
        assert_eq!(
            ended.stderr.matches("spans were lost").count(),
            1,
            "{ended:?}"
        );
        report(&format!("a run whose collector {reason}"), took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_with_a_credential_is_refused_and_not_repeated() {
    let folder = folder("");
    let url = format!("http://user:{CANARY}@127.0.0.1:4318");
    let (ended, _) = run_with(&folder, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(
        ended.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{ended:?}"
    );
    assert_absent("the error", ended.stderr.as_bytes());
}

#[tokio::test]
async fn spans_past_the_queue_are_dropped() {
    let collector = Collector::slow(Duration::from_millis(200)).await;
    let config = format!(
        "[telemetry]\notlp_endpoint = {:?}\nmax_queued_spans = 4\n",
        collector.url()
    );
    let config = Config::parse(&config).expect("valid");
    let runtime = tokio::runtime::Handle::current();
    let traces = Traces::start(&config.telemetry, None, runtime).expect("valid");
    let traces = traces.expect("there is a collector");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..1_000 {
            tracing::info_span!(target: "tavora_host", "one_of_many").in_scope(|| ());
            tracing::info_span!(target: "hyper", "of_a_library").in_scope(|| ());
        }
    });
    let flushed = tokio::task::spawn_blocking(move || traces.flush()).await;
    flushed.expect("no panic");
    let spans = collector.spans();
    // A program that waited for the collector would have lost none. A batch may be under way while
    // the queue fills.
    assert!((1..=12).contains(&spans.len()), "{}", spans.len());
    assert!(spans.iter().all(|(_, span)| span.name == "one_of_many"));
}
