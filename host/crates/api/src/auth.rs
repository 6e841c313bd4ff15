//! Who asks: an app by its API key, or the operator by the admin token.
//!
//! These extractors come first in every handler, so that nothing about a request is looked at
//! before its credential. What an API key opens is its own app and nothing else; no route takes the
//! id of an app from such a request.

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

/// An app, by one of its API keys.
pub struct AppCaller {
    /// The app.
    pub app: AppId,
    /// The key.
    pub api_key: ApiKeyId,
    /// The request.
    pub request_id: RequestId,
    /// The same, as the audit knows it.
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

/// An app that asks for something that needs the KEK.
pub struct VaultCaller(pub AppCaller);

impl FromRequestParts<Api> for VaultCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = AppCaller::from_request_parts(parts, api).await?;
        api.vaults().require_kek().await?;
        Ok(Self(caller))
    }
}

/// The operator, by the admin token.
pub struct Operator {
    /// As the audit knows them.
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

/// Refuses parameters of the query that the operation does not know; without a list it knows none.
fn check_query(parts: &Parts) -> Result<(), ApiError> {
    let known = parts.extensions.get::<Parameters>();
    known.unwrap_or(&Parameters::default()).check(parts)
}

/// A right credential was seen; an extension of the request.
#[derive(Clone)]
struct Admitted;

/// Notes that the request has a right credential.
pub fn admit(parts: &mut Parts) {
    if let Some(claim) = parts.extensions.get::<Claim>() {
        claim.prove();
    }
    parts.extensions.insert(Admitted);
}

/// Whether the request has a right credential, as far as is known yet.
pub fn is_admitted(parts: &Parts) -> bool {
    parts.extensions.get::<Admitted>().is_some()
}

/// The client's address: whom a trusted proxy names, or the peer. A server that does not say it
/// shares one throttle among all its clients.
pub fn client(parts: &Parts) -> IpAddr {
    Arrival::of(&parts.extensions).client
}

/// The id that the request was given when it came in.
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
