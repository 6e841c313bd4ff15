//! `/api/sdk/app`, also under its newer name `/api/sdk/project`: the app of the API key, and the
//! vault that the app designates.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::{App, VaultId};

use super::auth::{AppCaller, VaultCaller};
use super::body::JsonBody;
use super::error::ApiError;
use super::schema::{self, BadBody, Missing, Refused};
use super::{Api, json};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(designated, designate))
}

/// The app itself.
#[utoipa::path(get, path = "", tag = "App", operation_id = "app",
    responses((status = 200, body = schema::App), Refused))]
async fn show(State(api): State<Api>, caller: AppCaller) -> Result<Json<App>, ApiError> {
    Ok(Json(api.vaults().app(caller.app).await?))
}

/// Which vault the app designates.
#[derive(Serialize)]
struct Designation {
    vault_id: Option<VaultId>,
}

/// Which vault the app is to designate; null for none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Designate {
    #[serde(deserialize_with = "json::nullable")]
    #[schema(value_type = Option<uuid::Uuid>, required)]
    vault_id: Option<Option<String>>,
}

/// The designated vault.
#[utoipa::path(get, path = "/vault", tag = "App", operation_id = "designated_vault",
    responses((status = 200, body = schema::Designation), Refused))]
async fn designated(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
) -> Result<Json<Designation>, ApiError> {
    let vault_id = api.vaults().designated(caller.app).await?;
    Ok(Json(Designation { vault_id }))
}

/// Designates a vault, or clears the designation.
#[utoipa::path(put, path = "/vault", tag = "App", operation_id = "designate_vault",
    request_body = Designate,
    responses((status = 200, body = schema::Designation), Refused, Missing, BadBody))]
async fn designate(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    JsonBody(body): JsonBody<Designate>,
) -> Result<Json<Designation>, ApiError> {
    let vault_id = match body.vault_id.flatten() {
        None => None,
        // A malformed id names no vault of this app.
        Some(text) => Some(
            text.parse()
                .map_err(|_| ApiError::not_found("there is no such vault; list what there is"))?,
        ),
    };
    api.vaults()
        .designate(&caller.caller, caller.app, vault_id)
        .await?;
    Ok(Json(Designation { vault_id }))
}
