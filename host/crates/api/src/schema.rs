//! Shapes of bodies for the OpenAPI document, and the errors that operations share.
//!
//! These types only describe: the bodies themselves are made of the vault's views. Schemathesis
//! compares the two.

#![allow(dead_code)]

use serde_json::Value;
use utoipa::{IntoParams, IntoResponses, ToSchema};
use uuid::Uuid;

/// A refusal. What else stands at the top level are details.
#[derive(ToSchema)]
pub struct Error {
    /// For programs.
    #[schema(example = "not_found", pattern = "^[a-z][a-z0-9_]*$")]
    code: String,
    /// One sentence that a person can act on.
    message: String,
}

/// What an app, a vault or an API key is called: 1 to 128 characters that are seen, not all of them
/// blank.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 128,
    pattern = r"^(?=.*\S)[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
)]
pub struct Name(String);

/// A condition on what is there.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatch {
    /// Only if what is there has one of these entity tags, or is there at all (`*`).
    #[param(
        rename = "If-Match",
        example = "*",
        pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#
    )]
    if_match: Option<String>,
}

/// An app. The newer name of the same thing is project.
#[derive(ToSchema)]
pub struct App {
    id: Uuid,
    team_id: Uuid,
    name: String,
    slug: String,
    description: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The vault that it designates.
    #[schema(required)]
    vault_id: Option<Uuid>,
}

/// All apps.
#[derive(ToSchema)]
pub struct Apps {
    apps: Vec<App>,
}

/// Which vault an app designates.
#[derive(ToSchema)]
pub struct Designation {
    /// The designated vault; null clears the designation.
    #[schema(required)]
    vault_id: Option<Uuid>,
}

/// A vault, without its secrets.
#[derive(ToSchema)]
pub struct Vault {
    id: Uuid,
    app_id: Uuid,
    /// The same as `app_id`.
    project_id: Uuid,
    name: String,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// An app's vaults, oldest first.
#[derive(ToSchema)]
pub struct Vaults {
    secret_vaults: Vec<Vault>,
}

/// All that is ever shown of a secret.
#[derive(ToSchema)]
pub struct RedactedSecret {
    vault_id: Uuid,
    #[schema(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$")]
    name: String,
    /// The KEK that its data key is wrapped with, 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    kek_id: String,
    /// 1 when created, one more at each overwrite.
    #[schema(minimum = 1)]
    version: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A vault's secrets by name.
#[derive(ToSchema)]
pub struct Secrets {
    secrets: Vec<RedactedSecret>,
}

/// An entry of the audit.
#[derive(ToSchema)]
pub struct AuditEntry {
    id: Uuid,
    #[schema(required)]
    app_id: Option<Uuid>,
    #[schema(required)]
    actor_user_id: Option<Uuid>,
    #[schema(required)]
    actor_api_key_id: Option<Uuid>,
    #[schema(example = "secret.put")]
    action: String,
    #[schema(required, example = "secret")]
    subject_type: Option<String>,
    #[schema(required)]
    subject_id: Option<String>,
    #[schema(required)]
    agent_version_id: Option<Uuid>,
    #[schema(required)]
    session_id: Option<String>,
    /// The actor, the outcome, the request id, and details of the action. Never a value.
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A page of the audit, newest entry first.
#[derive(ToSchema)]
pub struct AuditPage {
    entries: Vec<AuditEntry>,
    total: u64,
    limit: u32,
    offset: u64,
}

/// An API key without its secret part.
#[derive(ToSchema)]
pub struct ApiKey {
    id: Uuid,
    app_id: Uuid,
    name: String,
    /// The public start of its token.
    prefix: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
}

/// An app's API keys, oldest first.
#[derive(ToSchema)]
pub struct ApiKeys {
    api_keys: Vec<ApiKey>,
}

/// How the keys that wrap data keys are used.
#[derive(ToSchema)]
pub struct KekStatus {
    /// `unset`, `ready`, `mismatch` (with `wanted` and `rows`), `canary_failed` (with `kek_id`) or
    /// `unavailable` (with `kek_id`, `kind` and `trouble`).
    state: String,
    /// The KEK that new data keys are wrapped with.
    #[schema(required)]
    primary: Option<String>,
    keks: Vec<KekUse>,
}

/// How one KEK was used.
#[derive(ToSchema)]
pub struct KekUse {
    kek_id: String,
    in_keyring: bool,
    /// What holds it: `local`, `aws_kms`, `transit` or `pkcs11`; null when the keyring lacks it.
    #[schema(required)]
    kind: Option<String>,
    /// Secrets that are wrapped with it now.
    rows: u64,
    /// Data keys that it has wrapped in all.
    wraps: u64,
    /// Whether it has wrapped so many that it should be replaced.
    worn: bool,
    /// Whether it opens its canary; null when it cannot be tried.
    #[schema(required)]
    canary_ok: Option<bool>,
}

/// The rewrap or verification that goes on, or the last one.
#[derive(ToSchema)]
pub struct Walk {
    /// `idle`, `running`, `complete`, `incomplete`, `stopped` or `failed`.
    state: String,
    /// `rewrap` or `verify`.
    #[schema(required)]
    work: Option<String>,
    /// The KEK that a rewrap moves to.
    #[schema(required)]
    to: Option<String>,
    /// Secrets there were to look at when it began.
    total: u64,
    /// Secrets that were looked at.
    seen: u64,
    /// Secrets that were moved, or would be.
    moved: u64,
    /// Secrets that others changed meanwhile; they are looked at again.
    overtaken: u64,
    /// Secrets that do not open.
    unreadable: u64,
    /// The first 1,000 of those, once it has ended.
    unreadable_secrets: Vec<UnreadableSecret>,
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    ended_at: Option<String>,
    /// Why it failed.
    #[schema(required)]
    error: Option<String>,
}

/// A secret that does not open.
#[derive(ToSchema)]
pub struct UnreadableSecret {
    #[schema(required)]
    app_id: Option<Uuid>,
    #[schema(required)]
    vault_id: Option<Uuid>,
    name: String,
    #[schema(required)]
    kek_id: Option<String>,
    /// `kek_missing`, `wrap`, `payload` or `row`.
    cause: String,
}

/// What any operation that needs a credential may answer instead.
#[derive(IntoResponses)]
pub enum Refused {
    /// Something in the request is not what it must be, or unknown; `field` names it where it is
    /// one.
    #[response(status = 400)]
    BadRequest(Error),
    /// The credential is missing, malformed, unknown, expired or revoked.
    #[response(status = 401)]
    Unauthorized(Error),
    /// Too many requests, or too many failed authentications; `Retry-After` says when to come back.
    #[response(status = 429)]
    TooManyRequests(Error),
    /// The host failed.
    #[response(status = 500)]
    Internal(Error),
    /// No KEK is configured, it does not fit the data, or the store does not work.
    #[response(status = 503)]
    Unavailable(Error),
}

/// What an operation on something that may not be there answers besides.
#[derive(IntoResponses)]
pub enum Missing {
    /// It is not there, or belongs to another app.
    #[response(status = 404)]
    NotFound(Error),
}

/// What an operation with a body answers besides.
#[derive(IntoResponses)]
pub enum BadBody {
    /// The body came too slowly.
    #[response(status = 408)]
    TooSlow(Error),
    /// The body is too long.
    #[response(status = 413)]
    TooLong(Error),
    /// The body is not declared to be JSON, or is compressed.
    #[response(status = 415)]
    NotJson(Error),
}

/// What an operation that asks an upstream answers besides.
#[derive(IntoResponses)]
pub enum BadUpstream {
    /// The upstream refused the app's credential, cannot be reached, or gave no proper answer.
    #[response(status = 502)]
    BadGateway(Error),
    /// The upstream did not answer in time.
    #[response(status = 504)]
    TooSlow(Error),
}

/// What a change with `If-Match` answers besides.
#[derive(IntoResponses)]
pub enum Stale {
    /// What is there is not what `If-Match` expects; nothing was changed.
    #[response(status = 412)]
    PreconditionFailed(Error),
}
