//! `/api/sdk/secret-vaults/{id}/secrets`: the secrets of a vault. Values go in, and only redacted
//! views come out.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::{RedactedSecret, SecretValue, VaultId};
use zeroize::Zeroizing;

use super::Api;
use super::auth::VaultCaller;
use super::body::JsonBody;
use super::error::ApiError;
use super::etag::{IfMatch, etag};
use super::path::{Id, SecretPath};
use super::schema::{self, BadBody, Missing, Refused, Stale};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(put, delete))
}

/// A vault's secrets by name.
#[derive(Serialize)]
struct Secrets {
    secrets: Vec<RedactedSecret>,
}

/// A secret to store.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutSecret {
    /// The credential: 1 byte to 64 KiB of UTF-8.
    #[schema(value_type = String, min_length = 1, max_length = 65536, write_only)]
    value: Zeroizing<String>,
}

/// A vault's secrets by name, without their values.
#[utoipa::path(get, path = "/api/sdk/secret-vaults/{id}/secrets", tag = "Secrets", operation_id = "secrets",
    params(("id" = uuid::Uuid, Path, description = "The vault")),
    responses((status = 200, body = schema::Secrets), Refused, Missing))]
async fn list(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    Id(vault): Id<VaultId>,
) -> Result<Json<Secrets>, ApiError> {
    let secrets = api.vaults().secrets(caller.app, vault).await?;
    Ok(Json(Secrets { secrets }))
}

/// Stores a secret, as a new version if it is there already.
#[utoipa::path(put, path = "/api/sdk/secret-vaults/{id}/secrets/{name}", tag = "Secrets", operation_id = "put_secret",
    params(("id" = uuid::Uuid, Path, description = "The vault"),
        ("name" = String, Path, description = "The secret", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$"),
        schema::IfMatch),
    request_body = PutSecret,
    responses((status = 200, body = schema::RedactedSecret), (status = 409, description = "Other writes came first, again and again.", body = schema::Error),
        Refused, Missing, BadBody, Stale))]
async fn put(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    path: SecretPath,
    IfMatch(condition): IfMatch,
    JsonBody(mut body): JsonBody<PutSecret>,
) -> Result<([(HeaderName, HeaderValue); 1], Json<RedactedSecret>), ApiError> {
    let value = SecretValue::new(std::mem::take(&mut *body.value))
        .map_err(|error| ApiError::bad_request("invalid_secret_value", error))?;
    let secret = api
        .vaults()
        .put_secret_if(
            &caller.caller,
            caller.app,
            path.vault,
            &path.name,
            &value,
            condition,
        )
        .await?;
    Ok((etag(secret.revision()), Json(secret)))
}

/// Deletes a secret. One that is not there is deleted already.
#[utoipa::path(delete, path = "/api/sdk/secret-vaults/{id}/secrets/{name}", tag = "Secrets", operation_id = "delete_secret",
    params(("id" = uuid::Uuid, Path, description = "The vault"),
        ("name" = String, Path, description = "The secret", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$"),
        schema::IfMatch),
    responses((status = 204), Refused, Missing, Stale))]
async fn delete(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    path: SecretPath,
    IfMatch(condition): IfMatch,
) -> Result<StatusCode, ApiError> {
    api.vaults()
        .delete_secret_if(
            &caller.caller,
            caller.app,
            path.vault,
            &path.name,
            condition,
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
