//! `/api/admin`: the operator's routes for apps, their API keys and the list of tools. KEKs are in
//! `kek`.
//!
//! Every route here needs the admin token. Secrets are not here: they belong to apps, and are
//! managed at `/admin`, on the command line, and by the apps themselves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::{ApiKeyId, ApiKeyName, ApiKeyView, App, AppId, AppName, AppSlug};
use zeroize::Zeroizing;

use super::Api;
use super::auth::Operator;
use super::body::JsonBody;
use super::error::ApiError;
use super::path::{Id, IdPair};
use super::schema::{self, BadBody, Missing, Refused};
use tavora_platform::ToolView;

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(apps, create_app))
        .routes(routes!(app))
        .routes(routes!(api_keys, create_api_key))
        .routes(routes!(revoke_api_key))
        .routes(routes!(tools))
}

/// All apps, oldest first.
#[derive(Serialize)]
struct Apps {
    apps: Vec<App>,
}

/// An app to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateApp {
    /// 1 to 128 printable characters.
    #[schema(value_type = schema::Name)]
    name: AppName,
    /// Unique; 1 to 63 of a to z, 0 to 9 and dashes. Without one, it is made from the name.
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    slug: Option<AppSlug>,
    /// What the app is for; at most 1,024 characters.
    #[schema(max_length = 1024)]
    description: Option<String>,
}

/// The longest description of an app, in characters.
pub const DESCRIPTION_MAX_CHARS: usize = 1_024;

/// Refuses a description that is too long, or that not every store can hold.
pub fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    let text = description.unwrap_or_default();
    let problem = if text.chars().count() > DESCRIPTION_MAX_CHARS {
        format!("a description has at most {DESCRIPTION_MAX_CHARS} characters; shorten it")
    } else if text.contains('\0') {
        "a description holds no zero character; take it out".to_owned()
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_field("description", problem))
}

#[utoipa::path(get, path = "/api/admin/apps", tag = "Operator", operation_id = "admin_apps",
    responses((status = 200, body = schema::Apps), Refused))]
/// All apps, oldest first.
async fn apps(State(api): State<Api>, _: Operator) -> Result<Json<Apps>, ApiError> {
    let apps = api.vaults().apps().await?;
    Ok(Json(Apps { apps }))
}

#[utoipa::path(post, path = "/api/admin/apps", tag = "Operator", operation_id = "admin_create_app",
    request_body = CreateApp,
    responses((status = 201, body = schema::App), (status = 409, description = "Another app has this slug.", body = schema::Error),
        Refused, BadBody))]
/// Creates an app.
async fn create_app(
    State(api): State<Api>,
    operator: Operator,
    JsonBody(body): JsonBody<CreateApp>,
) -> Result<(StatusCode, Json<App>), ApiError> {
    check_description(body.description.as_deref())?;
    let app = api
        .vaults()
        .create_app(&operator.caller, body.name, body.slug, body.description)
        .await?;
    Ok((StatusCode::CREATED, Json(app)))
}

#[utoipa::path(get, path = "/api/admin/apps/{id}", tag = "Operator", operation_id = "admin_app",
    params(("id" = uuid::Uuid, Path, description = "The app")),
    responses((status = 200, body = schema::App), Refused, Missing))]
/// One app.
async fn app(
    State(api): State<Api>,
    _: Operator,
    Id(app): Id<AppId>,
) -> Result<Json<App>, ApiError> {
    Ok(Json(api.vaults().app(app).await?))
}

/// An app's API keys, oldest first.
#[derive(Serialize)]
struct ApiKeys {
    api_keys: Vec<ApiKeyView>,
}

/// An API key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateApiKey {
    /// 1 to 128 printable characters.
    #[schema(value_type = schema::Name)]
    name: ApiKeyName,
    /// When it stops working; never, when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A new API key. `key` is here once and never again.
#[derive(Serialize, ToSchema)]
struct CreatedApiKey {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    #[schema(value_type = String)]
    name: ApiKeyName,
    /// The token itself: `tvr_…`.
    #[schema(value_type = String)]
    key: Zeroizing<String>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Timestamp>,
}

#[utoipa::path(get, path = "/api/admin/apps/{id}/api-keys", tag = "Operator", operation_id = "admin_api_keys",
    params(("id" = uuid::Uuid, Path, description = "The app")),
    responses((status = 200, body = schema::ApiKeys), Refused, Missing))]
/// An app's API keys, oldest first.
async fn api_keys(
    State(api): State<Api>,
    _: Operator,
    Id(app): Id<AppId>,
) -> Result<Json<ApiKeys>, ApiError> {
    // An unknown app would have an empty list, so its existence is checked first.
    let app = api.vaults().app(app).await?;
    let api_keys = api.vaults().api_keys(app.id).await?;
    Ok(Json(ApiKeys { api_keys }))
}

#[utoipa::path(post, path = "/api/admin/apps/{id}/api-keys", tag = "Operator", operation_id = "admin_create_api_key",
    params(("id" = uuid::Uuid, Path, description = "The app")),
    request_body = CreateApiKey,
    responses((status = 201, body = CreatedApiKey), Refused, Missing, BadBody))]
/// Creates an API key, which is shown this once.
async fn create_api_key(
    State(api): State<Api>,
    operator: Operator,
    Id(app): Id<AppId>,
    JsonBody(body): JsonBody<CreateApiKey>,
) -> Result<(StatusCode, Json<CreatedApiKey>), ApiError> {
    let (view, key) = api
        .vaults()
        .create_api_key(&operator.caller, app, body.name, body.expires_at)
        .await?;
    let created = CreatedApiKey {
        id: view.id,
        name: view.name,
        key,
        expires_at: view.expires_at,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

#[utoipa::path(delete, path = "/api/admin/apps/{id}/api-keys/{key_id}", tag = "Operator", operation_id = "admin_revoke_api_key",
    params(("id" = uuid::Uuid, Path, description = "The app"), ("key_id" = uuid::Uuid, Path, description = "The API key")),
    responses((status = 200, body = schema::ApiKey), Refused, Missing))]
/// Revokes an API key for good. Revoking it again changes nothing.
async fn revoke_api_key(
    State(api): State<Api>,
    operator: Operator,
    IdPair(app, key): IdPair<AppId, ApiKeyId>,
) -> Result<Json<ApiKeyView>, ApiError> {
    let revoked = api
        .vaults()
        .revoke_api_key(&operator.caller, app, key)
        .await?;
    Ok(Json(revoked))
}

/// The platform's trusted tools.
#[derive(Serialize)]
struct Tools {
    tools: Vec<ToolView>,
}

#[utoipa::path(get, path = "/api/admin/tools", tag = "Operator", operation_id = "admin_tools",
    responses((status = 200, description = "The trusted tools with their imports and grants."), Refused))]
/// The trusted tools with their imports and grants.
async fn tools(State(api): State<Api>, _: Operator) -> Result<Json<Tools>, ApiError> {
    let tools = api.platform().trusted_tools();
    Ok(Json(Tools { tools }))
}
