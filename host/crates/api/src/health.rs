//! `/healthz` (the process is alive), `/readyz` (the store, the audit and the KEK work) and
//! `/metrics`. They need no credential, and reveal nothing that would need one.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::SecretVaults;

use super::Api;
use super::error::ApiError;
use super::schema;
use tavora_server::Stopping;
use tavora_telemetry as telemetry;

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

/// That it is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`, or `ready`.
    status: &'static str,
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "Health", operation_id = "healthz",
    responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the store, the audit and the KEK work, and the host goes on.
#[utoipa::path(get, path = "/readyz", tag = "Health", operation_id = "readyz",
    responses((status = 200, body = Health), (status = 503, description = "Why it is not ready.", body = schema::Error)))]
async fn readyz(State(api): State<Api>, request: Request) -> Result<Json<Health>, ApiError> {
    let stopping = request.extensions().get::<Stopping>();
    if stopping.is_some_and(Stopping::has_begun) {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "the host was told to stop; send requests elsewhere",
        ));
    }
    ready(api.vaults()).await?;
    Ok(Json(Health { status: "ready" }))
}

/// What the host counts, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "Health", operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text.", body = String, content_type = "application/openmetrics-text")))]
async fn metrics(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    let metrics = api.platform().metrics();
    let walk = api.rotation().view();
    let text = metrics.render(api.vaults(), api.kek_counts(), &walk).await;
    ([(CONTENT_TYPE, telemetry::metrics::CONTENT_TYPE)], text)
}

/// Checks that the host is ready. Every failure is a 503, so that a probe tries again.
pub async fn ready(vaults: &SecretVaults) -> Result<(), ApiError> {
    let checked = async {
        vaults.probe().await?;
        vaults.refresh_kek_state().await
    };
    match checked.await {
        Ok(state) => Ok(state.check()?),
        Err(error) => {
            tracing::error!(%error, "the store or its audit does not work");
            Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "vault_unavailable",
                "the store or its audit does not work; see the host's log",
            ))
        }
    }
}
