//! Parses the parameters of a path into types that cannot be wrong.
//!
//! A malformed id names nothing, so it is answered like an unknown one. The router decodes percent
//! signs once; nothing here decodes again.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use vault_core::{SecretName, VaultId};

use super::error::ApiError;

/// The only id in a path.
pub struct Id<T>(pub T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text: String = segments(parts, state).await?;
        id(&text).map(Self)
    }
}

/// Two ids in a path, the outer one first.
pub struct IdPair<T, U>(pub T, pub U);

impl<T: FromStr, U: FromStr, S: Send + Sync> FromRequestParts<S> for IdPair<T, U> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (outer, inner): (String, String) = segments(parts, state).await?;
        Ok(Self(id(&outer)?, id(&inner)?))
    }
}

/// A vault and the name of a secret in it.
pub struct SecretPath {
    pub vault: VaultId,
    pub name: SecretName,
}

impl<S: Send + Sync> FromRequestParts<S> for SecretPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (vault, name): (String, String) = segments(parts, state).await?;
        Ok(Self {
            vault: id(&vault)?,
            name: name
                .parse()
                .map_err(|error| ApiError::bad_request("invalid_secret_name", error))?,
        })
    }
}

fn id<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|_| ApiError::not_found("there is nothing with this id; list what there is"))
}

async fn segments<T: DeserializeOwned + Send, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<T, ApiError> {
    let Path(segments) = Path::from_request_parts(parts, state).await.map_err(|_| {
        ApiError::bad_request(
            "invalid_path",
            "the path does not decode to UTF-8; percent-encode the bytes of UTF-8 text",
        )
    })?;
    Ok(segments)
}
