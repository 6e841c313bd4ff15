//! Sealing and opening values, in the layout that `envelope` draws.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SecretBinding;
use crate::{
    aead::{Aead, NONCE_BYTES, NotAuthentic, TAG_BYTES},
    blob::{self, AES_256_GCM, FormatError, VERSION_1},
    key::{Dek, KekError, KekId, KekProvider, Keyring},
    random::fill_random,
    revision::Revision,
    secret::{InvalidSecretValue, SECRET_VALUE_MAX_BYTES, SecretValue},
};

const COMMITMENT_BYTES: usize = 32;
pub(super) const OVERHEAD_BYTES: usize = PAYLOAD_HEAD_BYTES + TAG_BYTES;
const EXPAND_LABEL: &[u8] = b"tavora/payload/v1";

/// The length in bytes of the part before the encrypted value. No two payloads share these bytes.
pub const PAYLOAD_HEAD_BYTES: usize = 2 + COMMITMENT_BYTES + NONCE_BYTES;

/// The longest wrapped DEK that a row may hold, in bytes. Providers on a network need more than the
/// local one.
pub const WRAPPED_MAX_BYTES: usize = 4096;

/// A sealed secret and the place it belongs to. It is safe to store and cache, but shown to nobody.
#[derive(Clone)]
pub struct SealedSecret {
    /// The place that the secret belongs to.
    pub binding: SecretBinding,
    /// The KEK that wraps the secret's DEK.
    pub kek_id: KekId,
    /// The wrapped DEK.
    pub wrapped: Vec<u8>,
    /// The sealed value.
    pub payload: Vec<u8>,
}

/// A digest of a payload, by which the audit recognises the row. A rewrap does not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadDigest(pub(crate) [u8; 32]);

/// Why a sealed secret does not open. Only logs tell; clients see one opaque error for every cause.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The keyring lacks the KEK.
    #[error("the keyring does not hold the KEK {0}")]
    UnknownKek(KekId),
    /// The wrapped DEK is longer than [`WRAPPED_MAX_BYTES`].
    #[error("the wrapped DEK is longer than {WRAPPED_MAX_BYTES} bytes")]
    OverlongWrap,
    /// The DEK does not unwrap.
    #[error("the DEK does not unwrap")]
    Unwrap(#[source] KekError),
    /// The layout of the payload is unknown.
    #[error("the payload has no known layout")]
    Format(#[from] FormatError),
    /// The payload was sealed with another DEK.
    #[error("the payload does not commit to its DEK")]
    Commitment,
    /// The payload or its place differs from when it was sealed.
    #[error("the payload does not open")]
    NotAuthentic(#[from] NotAuthentic),
    /// The payload opens to something that can never have been stored.
    #[error("the opened value is not a secret value")]
    Value(#[from] InvalidSecretValue),
}

/// Seals a value with a fresh DEK and wraps the DEK.
///
/// # Errors
/// The KEK provider does not wrap.
pub async fn seal(
    kek: &dyn KekProvider,
    binding: SecretBinding,
    value: &SecretValue,
) -> Result<SealedSecret, KekError> {
    let dek = Dek::make();
    let kek_id = kek.kek_id();
    let wrapped = kek
        .wrap(&dek, binding.wrap_data(AES_256_GCM, kek_id).as_slice())
        .await?;
    let payload = seal_payload(&dek, &binding, value);
    Ok(SealedSecret {
        binding,
        kek_id,
        wrapped,
        payload,
    })
}

/// Opens a sealed secret. The result is the very value that was sealed for this place.
///
/// # Errors
/// Anything differs from when it was sealed, or the KEK is missing or does not work.
pub async fn open(keyring: &Keyring, sealed: &SealedSecret) -> Result<SecretValue, OpenError> {
    let dek = unwrap_dek(keyring, sealed).await?;
    let opened = open_payload(&dek, &sealed.binding, &sealed.payload);
    opened.inspect_err(|error| forget_untrue(keyring, sealed, error))
}

/// Tells the provider to forget a DEK that the payload does not commit to.
pub(super) fn forget_untrue(keyring: &Keyring, sealed: &SealedSecret, error: &OpenError) {
    if let (OpenError::Commitment, Some(kek)) = (error, keyring.find(sealed.kek_id)) {
        let wrap_data = sealed.binding.wrap_data(AES_256_GCM, sealed.kek_id);
        kek.forget(&sealed.wrapped, wrap_data.as_slice());
    }
}

impl PayloadDigest {
    /// The digest of a stored payload.
    pub fn derive(payload: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"tavora/payload-digest/v1\0")
                .chain_update(payload)
                .finalize()
                .into(),
        )
    }
}

/// The revision of a secret from its payload, or from the first [`PAYLOAD_HEAD_BYTES`] of it.
pub fn revision_of(payload: &[u8]) -> Revision {
    Revision::derive(&payload[..payload.len().min(PAYLOAD_HEAD_BYTES)])
}

pub(super) async fn unwrap_dek(keyring: &Keyring, sealed: &SealedSecret) -> Result<Dek, OpenError> {
    let kek = keyring
        .find(sealed.kek_id)
        .ok_or(OpenError::UnknownKek(sealed.kek_id))?;
    if sealed.wrapped.len() > WRAPPED_MAX_BYTES {
        return Err(OpenError::OverlongWrap);
    }
    let wrap_data = sealed.binding.wrap_data(AES_256_GCM, sealed.kek_id);
    kek.unwrap(&sealed.wrapped, wrap_data.as_slice())
        .await
        .map_err(OpenError::Unwrap)
}

fn seal_payload(dek: &Dek, binding: &SecretBinding, value: &SecretValue) -> Vec<u8> {
    let plain = value.expose().as_bytes();
    let okm = expand(dek);
    let (key, commitment) = split(&okm);
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce);
    // Allocate the full size at once. This buffer holds the plain value until it is encrypted in
    // place, and a buffer that grows leaves copies behind.
    let mut payload = Vec::with_capacity(OVERHEAD_BYTES + plain.len());
    payload.extend_from_slice(&[VERSION_1, AES_256_GCM]);
    payload.extend_from_slice(commitment);
    payload.extend_from_slice(&nonce);
    let start = payload.len();
    payload.extend_from_slice(plain);
    let tag = Aead::new(key).seal(
        &nonce,
        binding.payload_data(AES_256_GCM).as_slice(),
        &mut payload[start..],
    );
    payload.extend_from_slice(&tag);
    payload
}

pub(super) fn open_payload(
    dek: &Dek,
    binding: &SecretBinding,
    payload: &[u8],
) -> Result<SecretValue, OpenError> {
    if payload.len() > OVERHEAD_BYTES + SECRET_VALUE_MAX_BYTES {
        return Err(FormatError::BadLength.into());
    }
    let (stored_commitment, rest) = payload_parts(payload)?;
    let (nonce, rest) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(FormatError::BadLength)?;
    let (ciphertext, tag) = rest
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(FormatError::BadLength)?;
    let okm = expand(dek);
    let (key, commitment) = split(&okm);
    if !bool::from(commitment.ct_eq(stored_commitment)) {
        return Err(OpenError::Commitment);
    }
    let mut value = Zeroizing::new(ciphertext.to_vec());
    Aead::new(key).open(
        nonce,
        binding.payload_data(AES_256_GCM).as_slice(),
        &mut value,
        tag,
    )?;
    Ok(SecretValue::from_bytes(std::mem::take(&mut *value))?)
}

/// Splits a payload into the commitment and the rest.
pub(super) fn payload_parts(
    payload: &[u8],
) -> Result<(&[u8; COMMITMENT_BYTES], &[u8]), FormatError> {
    let body = blob::body(payload)?;
    body.split_first_chunk().ok_or(FormatError::BadLength)
}

/// Expands the DEK once. The DEK is uniform, so HKDF's extract step would only cost time.
pub(super) fn expand(dek: &Dek) -> Zeroizing<[u8; 64]> {
    let mut okm = Zeroizing::new([0; 64]);
    let hkdf = Hkdf::<Sha256>::from_prk(dek.expose()).expect("a DEK is as long as HKDF wants it");
    hkdf.expand(EXPAND_LABEL, okm.as_mut_slice())
        .expect("64 bytes are fewer than HKDF can give");
    okm
}

pub(super) fn split(okm: &[u8; 64]) -> (&[u8; 32], &[u8; COMMITMENT_BYTES]) {
    let (key, commitment) = okm.split_first_chunk().expect("64 bytes hold 32");
    (key, commitment.try_into().expect("64 less 32 bytes are 32"))
}
