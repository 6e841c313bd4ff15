//! Rewraps a secret's DEK with another KEK, or re-encrypts its value with another DEK.
//!
//! A KEK provider is checked, not believed. A new wrap is unwrapped again and must give the same
//! DEK. A DEK from an old wrap must be the one that the payload commits to. So a provider that
//! returns a wrong key destroys nothing. Other modules decide which rows are moved and how they are
//! stored.

use subtle::ConstantTimeEq;

use super::seal::{
    OpenError, SealedSecret, expand, forget_untrue, open, open_payload, payload_parts, seal, split,
    unwrap_dek,
};
use crate::{
    blob::AES_256_GCM,
    key::{Dek, KekError, KekId, KekProvider, Keyring},
};

/// Why a secret was not moved.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// The secret does not open as it is.
    #[error("the secret does not open")]
    Open(#[from] OpenError),
    /// The KEK that the secret is to move to does not work.
    #[error("the KEK does not wrap")]
    Wrap(#[source] KekError),
    /// The wrap that the KEK made does not unwrap to the same DEK.
    #[error("the KEK {0} does not give back what it wrapped")]
    Untrue(KekId),
}

/// The part of a secret that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The DEK: it unwraps, and the payload commits to it. The first [`super::PAYLOAD_HEAD_BYTES`]
    /// of the payload are enough.
    Dek,
    /// The value as well, which needs the whole payload.
    Value,
}

/// Checks whether a secret opens.
///
/// # Errors
/// The secret does not open.
pub async fn check(
    keyring: &Keyring,
    sealed: &SealedSecret,
    depth: Depth,
) -> Result<(), OpenError> {
    checked_dek(keyring, sealed, depth).await.map(drop)
}

/// Wraps a secret's DEK with another KEK. The payload stays as it is.
///
/// # Errors
/// The secret does not open, or the KEK does not work.
pub async fn rewrap(
    keyring: &Keyring,
    to: &dyn KekProvider,
    sealed: &SealedSecret,
    depth: Depth,
) -> Result<Vec<u8>, RewrapError> {
    let dek = checked_dek(keyring, sealed, depth).await?;
    let data = sealed.binding.wrap_data(AES_256_GCM, to.kek_id());
    let wrapped = to
        .wrap(&dek, data.as_slice())
        .await
        .map_err(RewrapError::Wrap)?;
    let again = to.unwrap(&wrapped, data.as_slice()).await;
    match again {
        Ok(again) if bool::from(again.expose().ct_eq(dek.expose())) => Ok(wrapped),
        Err(outage @ KekError::Provider { .. }) => Err(RewrapError::Wrap(outage)),
        _ => Err(RewrapError::Untrue(to.kek_id())),
    }
}

/// Seals the same value with a fresh DEK and another KEK, for the same place and version.
///
/// # Errors
/// The secret does not open, or the KEK does not work.
pub async fn reencrypt(
    keyring: &Keyring,
    to: &dyn KekProvider,
    sealed: &SealedSecret,
) -> Result<SealedSecret, RewrapError> {
    let value = open(keyring, sealed).await?;
    let fresh = seal(to, sealed.binding.clone(), &value)
        .await
        .map_err(RewrapError::Wrap)?;
    match open(keyring, &fresh).await {
        Ok(again) if bool::from(again.expose().as_bytes().ct_eq(value.expose().as_bytes())) => {
            Ok(fresh)
        }
        Err(OpenError::Unwrap(outage @ KekError::Provider { .. })) => {
            Err(RewrapError::Wrap(outage))
        }
        _ => Err(RewrapError::Untrue(to.kek_id())),
    }
}

async fn checked_dek(
    keyring: &Keyring,
    sealed: &SealedSecret,
    depth: Depth,
) -> Result<Dek, OpenError> {
    let dek = unwrap_dek(keyring, sealed).await?;
    let checked = match depth {
        Depth::Dek => check_commitment(&dek, &sealed.payload),
        Depth::Value => open_payload(&dek, &sealed.binding, &sealed.payload).map(drop),
    };
    checked.inspect_err(|error| forget_untrue(keyring, sealed, error))?;
    Ok(dek)
}

fn check_commitment(dek: &Dek, payload: &[u8]) -> Result<(), OpenError> {
    let (stored, _) = payload_parts(payload)?;
    let okm = expand(dek);
    match bool::from(split(&okm).1.ct_eq(stored)) {
        true => Ok(()),
        false => Err(OpenError::Commitment),
    }
}
