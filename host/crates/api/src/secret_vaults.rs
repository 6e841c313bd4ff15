//! `/api/sdk/secret-vaults`: an app's vaults. Their secrets are in `secrets`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::{Condition, Metadata, VaultError, VaultId, VaultName, VaultView};

use super::Api;
use super::auth::VaultCaller;
use super::body::JsonBody;
use super::error::ApiError;
use super::etag::{IfMatch, etag};
use super::json::UniqueKeys;
use super::path::Id;
use super::schema::{self, BadBody, Missing, Refused, Stale};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
}

/// A vault, with the tag of its revision.
type Tagged = ([(HeaderName, HeaderValue); 1], Json<VaultView>);

/// An app's vaults, oldest first.
#[derive(Serialize)]
struct Vaults {
    secret_vaults: Vec<VaultView>,
}

/// A vault to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateVault {
    /// Unique in the app; 1 to 128 printable characters.
    #[schema(value_type = schema::Name)]
    name: VaultName,
    /// Any JSON object of at most 16 KiB. `origins` in it binds secrets to origins.
    #[schema(value_type = Option<Object>)]
    metadata: Option<UniqueKeys>,
}

/// What of a vault can change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateVault {
    /// Replaces the metadata as a whole; absent, it stays.
    #[schema(value_type = Option<Object>)]
    metadata: Option<UniqueKeys>,
}

/// The app's vaults, oldest first.
#[utoipa::path(get, path = "/api/sdk/secret-vaults", tag = "Secret vaults", operation_id = "vaults",
    responses((status = 200, body = schema::Vaults), Refused))]
async fn list(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
) -> Result<Json<Vaults>, ApiError> {
    let secret_vaults = api.vaults().vaults(caller.app).await?;
    Ok(Json(Vaults { secret_vaults }))
}

/// Creates a vault.
#[utoipa::path(post, path = "/api/sdk/secret-vaults", tag = "Secret vaults", operation_id = "create_vault",
    request_body = CreateVault,
    responses((status = 201, body = schema::Vault), (status = 409, description = "The app has a vault of this name.", body = schema::Error),
        Refused, BadBody))]
async fn create(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    JsonBody(body): JsonBody<CreateVault>,
) -> Result<(StatusCode, Tagged), ApiError> {
    let metadata = body.metadata.map(metadata).transpose()?;
    let vault = api
        .vaults()
        .create_vault(
            &caller.caller,
            caller.app,
            body.name,
            metadata.unwrap_or_default(),
        )
        .await?;
    Ok((StatusCode::CREATED, tagged(vault)))
}

/// One vault.
#[utoipa::path(get, path = "/api/sdk/secret-vaults/{id}", tag = "Secret vaults", operation_id = "vault",
    params(("id" = uuid::Uuid, Path, description = "The vault")),
    responses((status = 200, body = schema::Vault), Refused, Missing))]
async fn show(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    Id(vault): Id<VaultId>,
) -> Result<Tagged, ApiError> {
    Ok(tagged(api.vaults().vault(caller.app, vault).await?))
}

/// Replaces a vault's metadata.
#[utoipa::path(patch, path = "/api/sdk/secret-vaults/{id}", tag = "Secret vaults", operation_id = "update_vault",
    params(("id" = uuid::Uuid, Path, description = "The vault"), schema::IfMatch),
    request_body = UpdateVault,
    responses((status = 200, body = schema::Vault), Refused, Missing, BadBody, Stale))]
async fn update(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    Id(vault): Id<VaultId>,
    IfMatch(condition): IfMatch,
    JsonBody(body): JsonBody<UpdateVault>,
) -> Result<Tagged, ApiError> {
    let vaults = api.vaults();
    let Some(new) = body.metadata else {
        let vault = vaults.vault(caller.app, vault).await?;
        let met = match &condition {
            Condition::Always | Condition::Exists => true,
            Condition::AnyOf(revisions) => revisions.contains(&vault.revision()),
        };
        return match met {
            true => Ok(tagged(vault)),
            false => Err(VaultError::PreconditionFailed.into()),
        };
    };
    let vault = vaults
        .update_vault_metadata_if(&caller.caller, caller.app, vault, metadata(new)?, condition)
        .await?;
    Ok(tagged(vault))
}

/// Deletes a vault with its secrets, and clears a designation of it.
#[utoipa::path(delete, path = "/api/sdk/secret-vaults/{id}", tag = "Secret vaults", operation_id = "delete_vault",
    params(("id" = uuid::Uuid, Path, description = "The vault"), schema::IfMatch),
    responses((status = 204), Refused, Missing, Stale))]
async fn delete(
    State(api): State<Api>,
    VaultCaller(caller): VaultCaller,
    Id(vault): Id<VaultId>,
    IfMatch(condition): IfMatch,
) -> Result<StatusCode, ApiError> {
    api.vaults()
        .delete_vault_if(&caller.caller, caller.app, vault, condition)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(vault: VaultView) -> Tagged {
    (etag(vault.revision()), Json(vault))
}

fn metadata(UniqueKeys(value): UniqueKeys) -> Result<Metadata, ApiError> {
    Metadata::parse(value).map_err(|error| ApiError::invalid_field("metadata", error))
}
