//! Authenticates requests: an app by its API key, or the operator by the admin token.
//!
//! Each handler has one of these extractors as its first argument, so that nothing else of a
//! request is examined before its credential. An API key gives access to its own app only, and no
//! route takes an app's id from such a request.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use vault_core::{ApiKeyId, AppId, Caller, VaultError};

use super::Api;
use super::error::ApiError;
use super::unknown::Parameters;
use crate::bearer::bearer_of;
use crate::observe;
use tavora_server::throttle::TooManyRequests;
use tavora_server::{Arrival, Claim};
use tavora_telemetry::request_id::RequestId;

/// An app, authenticated by one of its API keys.
pub struct AppCaller {
    pub app: AppId,
    pub api_key: ApiKeyId,
    pub request_id: RequestId,
    /// The same caller in the form that the audit records.
    pub caller: Caller,
}

impl FromRequestParts<Api> for AppCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let request_id = request_id(parts);
        let token = api_key_of(&parts.headers)?;
        match api.vaults().authenticate(token).await {
            Ok(key) => {
                admit(parts);
                observe::identify(key.app_id);
                let metrics = api.platform().metrics();
                let counted = api.request_rate().count(key.id);
                counted.inspect_err(|_| metrics.limit_hit("server.rate_limit"))?;
                check_query(parts)?;
                Ok(Self {
                    app: key.app_id,
                    api_key: key.id,
                    caller: Caller::api_key(key.id).in_request(request_id.as_str()),
                    request_id,
                })
            }
            Err(VaultError::ApiKeyRefused) => {
                api.auth_failures().failed(client(parts))?;
                Err(VaultError::ApiKeyRefused.into())
            }
            Err(unavailable) => Err(unavailable.into()),
        }
    }
}

/// An app whose request needs the KEK.
pub struct VaultCaller(pub AppCaller);

impl FromRequestParts<Api> for VaultCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = AppCaller::from_request_parts(parts, api).await?;
        api.vaults().require_kek().await?;
        Ok(Self(caller))
    }
}

/// The operator, authenticated by the admin token.
pub struct Operator {
    /// The operator, in the audit's terms.
    pub caller: Caller,
}

impl FromRequestParts<Api> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let client = client(parts);
        api.auth_failures().check(client)?;
        let token = bearer(&parts.headers).ok_or_else(|| {
            ApiError::unauthorized(
                "the operator API needs the header Authorization: Bearer, with the admin token",
            )
        })?;
        if !api.admin_token().matches(token) {
            api.auth_failures().failed(client)?;
            return Err(ApiError::unauthorized(
                "this is not the admin token of this host; see TAVORA_ADMIN_TOKEN or the file admin-token in its data folder",
            ));
        }
        admit(parts);
        check_query(parts)?;
        let request_id = request_id(parts);
        Ok(Self {
            caller: Caller::operator().in_request(request_id.as_str()),
        })
    }
}

impl From<TooManyRequests> for ApiError {
    fn from(refusal: TooManyRequests) -> Self {
        Self::too_many_requests(refusal.to_string(), refusal.retry_after_secs)
    }
}

/// Refuses query parameters that the operation does not know. Without a list, none are known.
fn check_query(parts: &Parts) -> Result<(), ApiError> {
    let known = parts.extensions.get::<Parameters>();
    known.unwrap_or(&Parameters::default()).check(parts)
}

/// Request extension: a valid credential was seen.
#[derive(Clone)]
struct Admitted;

/// Records that the request has a valid credential.
pub fn admit(parts: &mut Parts) {
    if let Some(claim) = parts.extensions.get::<Claim>() {
        claim.prove();
    }
    parts.extensions.insert(Admitted);
}

/// Whether a valid credential was seen so far.
pub fn is_admitted(parts: &Parts) -> bool {
    parts.extensions.get::<Admitted>().is_some()
}

/// Returns the client's address: the one that a trusted proxy names, or the peer's. Without either,
/// all clients of the server share one throttle.
pub fn client(parts: &Parts) -> IpAddr {
    Arrival::of(&parts.extensions).client
}

/// Returns the id that `observe` gave the request.
pub fn request_id(parts: &Parts) -> RequestId {
    let given = parts.extensions.get().cloned();
    given.unwrap_or_else(|| RequestId::of(&parts.headers))
}

fn api_key_of(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut given = headers.get_all("x-api-key").iter();
    match (given.next(), given.next()) {
        (Some(key), None) => key.to_str().map_err(|_| VaultError::ApiKeyRefused.into()),
        (Some(_), Some(_)) => Err(ApiError::unauthorized(
            "the header X-API-Key is given more than once; give it once",
        )),
        (None, _) => bearer(headers).ok_or_else(|| {
            ApiError::unauthorized("give the app's API key in the header X-API-Key")
        }),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(headers.get(AUTHORIZATION)?)
}
