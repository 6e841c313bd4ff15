//! What is seen of each HTTP request: its id, its span, its metrics and one line in the log.
//!
//! Of the target only the route's template is ever told: the path and the query hold names that a client chose. Put it
//! outside everything that answers requests, a layer that catches panics included:
//!
//! ```
//! use axum::{Router, middleware, routing::get};
//! use tavora_host::telemetry::{Metrics, http::observe};
//!
//! let router: Router = Router::new()
//!     .route("/vaults/{id}", get(async || "here"))
//!     .layer(middleware::from_fn_with_state(Metrics::new(), observe));
//! ```

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Span;
use tracing::field::{Empty, display};
use vault_core::AppId;

use super::{Metrics, activity};
use crate::api::request_id::{REQUEST_ID_HEADER, RequestId};

/// Gives the request its [`RequestId`], as an extension and in the answer, and tells what became of it.
pub async fn observe(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let method = known_method(request.method());
    let route: Option<MatchedPath> = request.extensions().get().cloned();
    // At the level of errors, so that whatever is logged about the request has its id.
    let span = tracing::error_span!(
        "http_request",
        otel.kind = "server",
        request_id = %id,
        method,
        route = route.as_ref().map(MatchedPath::as_str),
        app_id = Empty,
        status = Empty,
    );
    request.extensions_mut().insert(id.clone());
    let answer = async move {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID_HEADER, id.header_value());
        Span::current().record("status", response.status().as_u16());
        response
    };
    let class = |response: &Response| status_class(response.status());
    activity::observe(span, answer, class, move |class, took| {
        let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
        metrics.request_ended(route, method, class, took);
        tracing::info!(duration_ms = took.as_secs_f64() * 1e3, "{class}");
    })
    .await
}

/// Notes for whom the current request is, once that is known.
pub fn identify(app: AppId) {
    Span::current().record("app_id", display(app));
}

/// A client can make up any method.
pub(crate) fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The first digit of a status.
pub(crate) fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
