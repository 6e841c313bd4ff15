//! Observes each HTTP request: its id, its span, its metrics and one line in the log.
//!
//! Of the target only the route's template is recorded: the path and the query hold names that a
//! client chose. Add this layer outside of everything that answers requests, including a layer that
//! catches panics:
//!
//! ```
//! use axum::{Router, middleware, routing::get};
//! use tavora_api::observe::observe;
//! use tavora_telemetry::Metrics;
//!
//! let router: Router = Router::new()
//!     .route("/vaults/{id}", get(async || "here"))
//!     .layer(middleware::from_fn_with_state(Metrics::new(), observe));
//! ```

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Span;
use tracing::field::{Empty, display};
use vault_core::AppId;

use tavora_server::Arrival;
use tavora_telemetry::http::{known_method, status_class};
use tavora_telemetry::request_id::{REQUEST_ID_HEADER, RequestId};
use tavora_telemetry::traces::continue_trace;
use tavora_telemetry::{Metrics, activity};

/// Gives the request its [`RequestId`], as an extension and in the answer, and records the outcome.
pub async fn observe(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let method = known_method(request.method());
    let route: Option<MatchedPath> = request.extensions().get().cloned();
    let client = Arrival::of(request.extensions()).client;
    // The span has the level of errors, so that every log line about the request has its id.
    let span = tracing::error_span!(
        "http_request",
        otel.kind = "server",
        request_id = %id,
        method,
        route = route.as_ref().map(MatchedPath::as_str),
        app_id = Empty,
        status = Empty,
    );
    continue_trace(&span, request.headers());
    let place = match &route {
        Some(route) => route.as_str().to_owned(),
        None => format!("{} (no such route)", known_beginning(request.uri().path())),
    };
    request.extensions_mut().insert(id.clone());
    let status = Arc::new(OnceLock::new());
    let answered = Arc::clone(&status);
    let answer = async move {
        let mut response = next.run(request).await;
        let _ = answered.set(response.status().as_u16());
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID_HEADER, id.header_value());
        Span::current().record("status", response.status().as_u16());
        response
    };
    let class = |response: &Response| status_class(response.status());
    activity::observe(span, answer, class, move |class, took| {
        let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
        metrics.request_ended(route, method, class, took);
        // Nanoseconds are too fine for a log.
        let duration_ms = took.as_micros() as f64 / 1e3;
        match status.get() {
            Some(status) => tracing::info!(%client, duration_ms, "{method} {place} {status}"),
            None => tracing::info!(%client, duration_ms, "{method} {place} {class}"),
        }
    })
    .await
}

/// Returns the part of an unknown path that belongs to this program. The rest was chosen by a
/// client.
fn known_beginning(path: &str) -> &'static str {
    let known = ["/api/sdk/…", "/api/admin/…", "/api/…", "/v1/…", "/admin/…"];
    let begins = |known: &&str| path.starts_with(known.trim_end_matches('…'));
    match path {
        "/" => "/",
        _ => known.into_iter().find(begins).unwrap_or("/…"),
    }
}

/// Records the app of the current request, once it is known.
pub fn identify(app: AppId) {
    Span::current().record("app_id", display(app));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::routing::get;
    use axum::{Extension, Router, middleware};
    use tower::ServiceExt as _;
    use tracing_subscriber::EnvFilter;

    use super::*;
    use tavora_telemetry::written::Written;

    const APP: &str = "0198c0de-0000-7000-8000-000000000001";

    fn router(metrics: &Metrics) -> Router {
        let hello = async |Extension(id): Extension<RequestId>| {
            identify(APP.parse().expect("an id"));
            tracing::warn!("something is odd");
            id.to_string()
        };
        let slow = async || tokio::time::sleep(Duration::from_secs(60)).await;
        Router::new()
            .route("/secrets/{name}", get(hello))
            .route("/slow", get(slow))
            .layer(middleware::from_fn_with_state(metrics.clone(), observe))
    }

    fn request(method: &str, target: &str) -> Request {
        let request = Request::builder().method(method).uri(target);
        let request = request.header(REQUEST_ID_HEADER, "from-the-client");
        request.body(Body::empty()).expect("valid")
    }

    /// Returns the log of these requests as JSON lines, with this filter.
    async fn logged(filter: &str, requests: Vec<Request>) -> Vec<serde_json::Value> {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_current_span(false)
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(written.clone())
            .finish();
        let router = router(&Metrics::new());
        let guard = tracing::subscriber::set_default(subscriber);
        for request in requests {
            let _ = router.clone().oneshot(request).await;
        }
        drop(guard);
        let text = written.text();
        let lines = serde_json::Deserializer::from_str(&text).into_iter();
        lines.collect::<Result<_, _>>().expect("JSON lines")
    }

    #[tokio::test]
    async fn the_id_reaches_the_handler_and_the_answer() {
        let answered = router(&Metrics::new())
            .oneshot(request("GET", "/secrets/a"))
            .await;
        let response = answered.expect("an answer");
        assert_eq!(response.headers()[REQUEST_ID_HEADER], "from-the-client");
        let body = axum::body::to_bytes(response.into_body(), 1000).await;
        assert_eq!(&body.expect("a body")[..], b"from-the-client");
    }

    #[tokio::test]
    async fn a_request_is_one_line_that_names_its_route_and_not_its_target() {
        let target = "/secrets/my_own_key?filter=mine";
        let lines = logged("info", vec![request("GET", target)]).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        let (line, span) = (&lines[1], &lines[1]["spans"][0]);
        assert_eq!(line["fields"]["message"], "GET /secrets/{name} 200");
        assert!(line["fields"]["duration_ms"].as_f64() > Some(0.0), "{line}");
        assert_eq!(line["fields"]["client"], "0.0.0.0", "nobody said who it is");
        for (field, value) in [
            ("request_id", "from-the-client"),
            ("method", "GET"),
            ("route", "/secrets/{name}"),
            ("app_id", APP),
        ] {
            assert_eq!(span[field], value, "{line}");
        }
        assert_eq!(span["status"], 200);
        for line in lines.iter().map(ToString::to_string) {
            assert!(
                !line.contains("my_own_key") && !line.contains("mine"),
                "{line}"
            );
        }
    }

    #[tokio::test]
    async fn a_request_without_a_route_is_told_by_what_is_known_of_its_path() {
        let targets = [
            "/",
            "/made-up",
            "/api/sdk/made-up",
            "/v1/made-up?filter=mine",
        ];
        let requests = targets.map(|target| request("GET", target)).into();
        let lines = logged("info", requests).await;
        let messages: Vec<_> = lines
            .iter()
            .map(|line| &line["fields"]["message"])
            .collect();
        assert_eq!(
            messages,
            [
                "GET / (no such route) 404",
                "GET /… (no such route) 404",
                "GET /api/sdk/… (no such route) 404",
                "GET /v1/… (no such route) 404",
            ]
        );
        for line in lines.iter().map(ToString::to_string) {
            assert!(
                !line.contains("made-up") && !line.contains("mine"),
                "{line}"
            );
        }
    }

    #[tokio::test]
    async fn a_warning_has_the_request_id_whatever_the_log_shows() {
        let lines = logged("warn", vec![request("GET", "/secrets/a")]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["spans"][0]["request_id"], "from-the-client");
    }

    #[tokio::test]
    async fn requests_are_counted_by_template_known_method_and_class() {
        let metrics = Metrics::new();
        for (method, target) in [
            ("GET", "/secrets/one"),
            ("GET", "/secrets/two"),
            ("BREW", "/secrets/one"),
            ("GET", "/made-up/path"),
            ("PUT", "/another/made-up/path"),
        ] {
            let answered = router(&metrics).oneshot(request(method, target)).await;
            answered.expect("an answer");
        }
        let left = router(&metrics).oneshot(request("GET", "/slow"));
        let waited = tokio::time::timeout(Duration::from_millis(5), left).await;
        waited.expect_err("nobody answers");
        let text = metrics.registered();
        for (labels, count) in [
            (r#"route="/secrets/{name}",method="GET",status="2xx""#, 2),
            (r#"route="/secrets/{name}",method="other",status="4xx""#, 1),
            (r#"route="unmatched",method="GET",status="4xx""#, 1),
            (r#"route="unmatched",method="PUT",status="4xx""#, 1),
            (r#"route="/slow",method="GET",status="cancelled""#, 1),
        ] {
            let line = format!("tavora_http_requests_total{{{labels}}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        let timed =
            r#"tavora_http_request_duration_seconds_count{route="/secrets/{name}",method="GET"} 2"#;
        assert!(text.contains(timed), "{text}");
        for made_up in ["made-up", "BREW", "one", "two"] {
            assert!(!text.contains(&format!("{made_up}\"")), "{made_up}: {text}");
        }
    }
}
