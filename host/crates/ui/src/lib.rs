//! The operator's page at `/admin`. Each page has a file below. Every page is plain HTML with
//! forms, and works without a script.
//!
//! No page shows a secret's value, and none can ask for one. The page uses the vaults directly,
//! beside the operator API. `server` has the sockets.

mod api_keys;
mod apps;
mod assets;
mod audit;
mod cookies;
mod fields;
mod form;
mod kek;
mod layout;
mod origin;
mod overview;
mod paging;
mod paths;
mod problem;
mod secret_value;
mod secrets;
mod session;
mod settings;
mod sign_in;
mod state;
mod table;
mod tools;
mod vaults;
mod visit;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use paths::ROOT;
use problem::Problem;
pub use settings::AdminConfig;
use state::Ui;
use tavora_api::{Api, no_such_path};

/// Returns the pages, to be nested at [`ROOT`]. `is_tls` says whether the host's own sockets use
/// TLS.
pub fn router<S>(api: Api, settings: &AdminConfig, is_tls: bool) -> Router<S> {
    Router::new()
        .route("/", get(overview::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::attempt))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/apps", get(apps::list).post(apps::create))
        .merge(app_routes())
        .route("/tools", get(tools::show))
        .route("/audit", get(audit::platform))
        .route("/audit/export", get(audit::export_platform))
        .route("/kek", get(kek::show))
        .route("/kek/rewrap", post(kek::rewrap))
        .route("/kek/verify", post(kek::verify))
        .route(
            "/kek/{kek_id}/retire",
            get(kek::confirm_retire).post(kek::retire),
        )
        .route("/assets/{file}", get(assets::serve))
        .fallback(nothing)
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(protect))
        .with_state(Ui::new(api, settings, is_tls))
}

/// Answers unknown paths: as JSON for OpenAI's clients with a wrong base URL, as a page for people.
async fn nothing(request: Request) -> Response {
    match no_such_path::is_for_openai(request.uri().path()) {
        true => no_such_path::refusal(&request).into_response(),
        false => Problem::not_found().into_response(),
    }
}

fn app_routes() -> Router<Ui> {
    let secret = "/apps/{app}/vaults/{vault}/secrets/{name}";
    Router::new()
        .route("/apps/{app}", get(vaults::list))
        .route("/apps/{app}/designation", post(vaults::designate))
        .route("/apps/{app}/vaults", post(vaults::create))
        .route("/apps/{app}/vaults/{vault}", get(vaults::show))
        .route("/apps/{app}/vaults/{vault}/metadata", post(vaults::update))
        .route(
            "/apps/{app}/vaults/{vault}/delete",
            get(vaults::confirm_delete).post(vaults::delete),
        )
        .route("/apps/{app}/vaults/{vault}/secrets", post(secrets::store))
        .route(secret, get(secrets::show).post(secrets::replace))
        .route(
            &format!("{secret}/delete"),
            get(secrets::confirm_delete).post(secrets::delete),
        )
        .route(
            "/apps/{app}/api-keys",
            get(api_keys::list).post(api_keys::create),
        )
        .route(
            "/apps/{app}/api-keys/{key}/revoke",
            get(api_keys::confirm_revoke).post(api_keys::revoke),
        )
        .route("/apps/{app}/audit", get(audit::app))
        .route("/apps/{app}/audit/export", get(audit::export_app))
}

/// Adds headers to every answer under `/admin`: run and load only files of this host, forbid
/// framing, and store nothing.
///
/// `Referrer-Policy` is not `no-referrer`: browsers would then send forms with `Origin: null`, and
/// the check of their origin would have no data. No URL leaks to other hosts, because no page links
/// to one.
async fn protect(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 8] = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
