//! `/api/admin/kek`: lists the KEKs, moves secrets from one to another, and retires one.
//!
//! Every route here needs the admin token. `rotation` does the work in the background.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::{BatchSize, KekId, KekStatus, RewrapOptions};

use super::Api;
use super::auth::Operator;
use super::body::JsonBody;
use super::error::ApiError;
use super::path::Id;
use super::schema::{self, BadBody, Missing, Refused};
use tavora_platform::rotation::{NotStarted, WalkView, Work};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(kek))
        .routes(routes!(rewrap))
        .routes(routes!(verify))
        .routes(routes!(walk))
        .routes(routes!(retire))
}

#[utoipa::path(get, path = "/api/admin/kek", tag = "Operator", operation_id = "admin_kek",
    responses((status = 200, body = schema::KekStatus), Refused))]
/// How the KEKs are used, and whether the keyring fits the data.
async fn kek(State(api): State<Api>, _: Operator) -> Result<Json<KekStatus>, ApiError> {
    Ok(Json(api.vaults().kek_status().await?))
}

/// A rewrap.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rewrap {
    /// The KEK to move to, one of the keyring; the primary one, when absent.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{32}$")]
    to: Option<KekId>,
    /// Find out what would be moved, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Open every value on the way too.
    #[serde(default)]
    verify: bool,
    /// New data keys and new ciphertext for every secret, for when a KEK leaked.
    #[serde(default)]
    reencrypt: bool,
    /// How many secrets to move at a time; 500, when absent.
    #[schema(minimum = 1, maximum = 2000)]
    batch: Option<u32>,
}

#[utoipa::path(post, path = "/api/admin/kek/rewrap", tag = "Operator", operation_id = "admin_rewrap",
    request_body = Rewrap,
    responses((status = 202, body = schema::Walk),
        (status = 409, description = "A walk goes on, or the KEK is not in the keyring.", body = schema::Error),
        Refused, BadBody))]
/// Begins to move every secret to one KEK, while everything else goes on. `/api/admin/kek/walk`
/// tells how far it is.
async fn rewrap(
    State(api): State<Api>,
    operator: Operator,
    JsonBody(body): JsonBody<Rewrap>,
) -> Result<(StatusCode, Json<WalkView>), ApiError> {
    let batch = match body.batch {
        Some(rows) => {
            BatchSize::try_from(rows).map_err(|error| ApiError::invalid_field("batch", error))?
        }
        None => BatchSize::default(),
    };
    let options = RewrapOptions {
        to: body.to,
        dry_run: body.dry_run,
        verify: body.verify,
        reencrypt: body.reencrypt,
        batch,
    };
    start(&api, operator, Work::Rewrap(options)).await
}

#[utoipa::path(post, path = "/api/admin/kek/verify", tag = "Operator", operation_id = "admin_kek_verify",
    responses((status = 202, body = schema::Walk), (status = 409, description = "A walk goes on.", body = schema::Error),
        Refused))]
/// Begins to open every secret, to find those that do not open. `/api/admin/kek/walk` tells how far
/// it is.
async fn verify(
    State(api): State<Api>,
    operator: Operator,
) -> Result<(StatusCode, Json<WalkView>), ApiError> {
    start(&api, operator, Work::Verify).await
}

#[utoipa::path(get, path = "/api/admin/kek/walk", tag = "Operator", operation_id = "admin_kek_walk",
    responses((status = 200, body = schema::Walk), Refused))]
/// The rewrap or verification that goes on, or the last one since the host started.
async fn walk(State(api): State<Api>, _: Operator) -> Json<WalkView> {
    Json(api.rotation().view())
}

#[utoipa::path(delete, path = "/api/admin/keks/{kek_id}", tag = "Operator", operation_id = "admin_retire_kek",
    params(("kek_id" = String, Path, description = "The KEK, in 32 hexadecimal digits")),
    responses((status = 200, body = schema::KekStatus),
        (status = 409, description = "Secrets need the KEK, or it is the primary one.", body = schema::Error),
        Refused, Missing))]
/// Forgets a KEK that wraps no secret any more.
async fn retire(
    State(api): State<Api>,
    operator: Operator,
    Id(kek_id): Id<KekId>,
) -> Result<Json<KekStatus>, ApiError> {
    api.vaults().retire_kek(&operator.caller, kek_id).await?;
    Ok(Json(api.vaults().kek_status().await?))
}

async fn start(
    api: &Api,
    operator: Operator,
    work: Work,
) -> Result<(StatusCode, Json<WalkView>), ApiError> {
    let started = api.rotation().start(api.vaults(), operator.caller, work);
    match started.await {
        Ok(view) => Ok((StatusCode::ACCEPTED, Json(view))),
        Err(running @ NotStarted::Running) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "walk_running",
            running.to_string(),
        )),
        Err(NotStarted::Refused(error)) => Err(error.into()),
    }
}
