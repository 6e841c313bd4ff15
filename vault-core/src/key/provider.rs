//! The trait of KEK providers, and their errors.

use async_trait::async_trait;

use super::{Dek, KekId, KekTrouble};
use crate::{aead::NotAuthentic, blob::FormatError};

/// Why a provider did not wrap or unwrap. No variant holds key material.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The wrapped bytes have no known layout.
    #[error("the wrapped DEK has no known layout")]
    Format(#[from] FormatError),
    /// The bytes, the associated data or the key differ from when this was wrapped.
    #[error("the wrapped DEK does not unwrap with its KEK")]
    NotAuthentic(#[from] NotAuthentic),
    /// The provider failed.
    #[error("the KEK {kek_id} of the provider {kind} cannot be used: {trouble}")]
    Provider {
        /// The KEK in question.
        kek_id: KekId,
        /// The kind of the provider; see [`KekProvider::kind`].
        kind: &'static str,
        /// The fault, and how to correct it.
        trouble: KekTrouble,
        /// More words from the provider's client, where it has any. They never repeat what a server
        /// wrote, because that may repeat the request.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl KekError {
    /// Whether the same request may work a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Provider { trouble, .. } if trouble.is_passing())
    }
}

/// A holder of a KEK, in this process or on a network, that wraps DEKs with it.
///
/// The envelope makes the associated data from the row's identity. The wrapped bytes come from the
/// store and may have been tampered with.
#[async_trait]
pub trait KekProvider: Send + Sync {
    /// The id of the KEK. A key keeps its id forever, and another key has another id.
    fn kek_id(&self) -> KekId;

    /// The kind of the provider, in one word for operators: `local`, `aws_kms`, `transit`,
    /// `pkcs11`.
    fn kind(&self) -> &'static str;

    /// Encrypts a DEK and binds it to `associated_data`.
    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError>;

    /// Decrypts a DEK. The result is exactly the DEK that was wrapped with the same
    /// `associated_data`.
    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError>;

    /// Tells the provider that the DEK of [`Self::unwrap`] is not the one that sealed the row. A
    /// provider that remembers DEKs must forget this one and ask anew.
    fn forget(&self, _wrapped: &[u8], _associated_data: &[u8]) {}
}
