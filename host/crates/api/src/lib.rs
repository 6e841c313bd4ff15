//! The HTTP API: composes its routes. Each group of routes has a file below.
//!
//! `server` has the sockets, and `ui` has the operator's page.

pub mod admin;
pub mod admin_token;
mod app;
mod app_runs;
pub mod audit_export;
mod audit_log;
pub mod auth;
mod bearer;
pub mod body;
mod chat;
mod cors;
mod error;
mod etag;
pub mod head;
pub mod health;
mod host;
pub mod json;
mod kek;
pub mod no_such_path;
pub mod observe;
mod openapi;
mod path;
mod query;
mod sandbox;
mod schema;
mod secret_vaults;
mod secrets;
mod state;
mod stopping;
mod tools;
mod unknown;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

pub use self::error::ApiError;
pub use self::state::Api;
use self::unknown::Parameters;
use tavora_egress::Origin;

/// Combines all routes with the operator's page at `root`, and adds the shared middleware.
pub fn router(api: Api, (root, page): (&'static str, Router<Api>)) -> Router {
    let metrics = api.platform().metrics().clone();
    let limits = *api.limits();
    let (routes, document) = openapi::describe(
        routes_of_apps(api.cors_allowed_origins())
            .merge(admin::routes())
            .merge(kek::routes())
            .merge(health::routes()),
    );
    let parameters = Parameters::of(&document);
    routes
        .merge(openapi::route(document))
        .layer(Extension(parameters))
        .layer(middleware::from_fn(no_store))
        .layer(middleware::from_fn(unbuffered))
        .nest(root, page)
        .route(
            &format!("{root}/"),
            get(async move || Redirect::permanent(root)),
        )
        .fallback(async |request: Request| no_such_path::refusal(&request))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(limits, head::check_head))
        .layer(middleware::from_fn_with_state(
            api.host_names().clone(),
            host::check_host,
        ))
        .layer(middleware::from_fn(stopping::answer_in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(metrics, observe::observe))
        .with_state(api)
}

/// The routes for API keys, which web pages of these origins may use too.
fn routes_of_apps(origins: &[Origin]) -> OpenApiRouter<Api> {
    let (routes, described) = OpenApiRouter::new()
        .nest("/api/sdk/app", app::routes())
        .nest("/api/sdk/project", app::routes())
        .merge(secret_vaults::routes())
        .merge(secrets::routes())
        .merge(audit_log::routes())
        .merge(tools::routes())
        .merge(sandbox::routes())
        .merge(chat::routes())
        .split_for_parts();
    let routes = match cors::layer(origins) {
        // A browser first sends OPTIONS, which no route accepts. The CORS layer must answer it
        // before this fallback refuses it.
        Some(cors) => routes
            .method_not_allowed_fallback(method_not_allowed)
            .layer(cors),
        None => routes,
    };
    OpenApiRouter::with_openapi(described).merge(routes.into())
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not take this method; the header Allow lists those that it takes",
    )
    .for_openai()
}

/// Forbids caching and changes on the way. Names of secrets, ids and API keys do not belong in a
/// cache, and a proxy that changed a body would also change its `ETag`.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let said = match headers.contains_key(ETAG) {
        true => "no-store, no-transform",
        false => "no-store",
    };
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(said));
    response
}

/// Tells proxies to pass event streams on at once. nginx would buffer them otherwise.
async fn unbuffered(request: Request, next: Next) -> Response {
    const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let is_stream = headers.get(CONTENT_TYPE).is_some_and(|it| {
        let essence = it.as_bytes().split(|&byte| byte == b';').next();
        essence
            .unwrap_or_default()
            .trim_ascii()
            .eq_ignore_ascii_case(b"text/event-stream")
    });
    if is_stream {
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    response
}

/// Answers after a panic. The panic's message may hold anything, so it is not repeated.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked; this is a defect of the host");
    ApiError::internal().into_response()
}
