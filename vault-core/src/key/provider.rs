//! What a KEK provider must do, and why one may not have done it.

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
    /// The provider did not do its work.
    #[error("the KEK {kek_id} of the provider {kind} cannot be used: {trouble}")]
    Provider {
        /// Which KEK.
        kek_id: KekId,
        /// The kind of its provider; see [`KekProvider::kind`].
        kind: &'static str,
        /// What is wrong, and what to do.
        trouble: KekTrouble,
        /// What the provider's client says, where it says more. Never what a server wrote: that may repeat the request.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl KekError {
    /// Whether the same request may work a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Provider { trouble, .. } if trouble.is_passing())
    }
}

/// Something that holds a KEK and wraps DEKs with it, in this process or on a network.
///
/// The associated data is made by the envelope from the row's identity; the wrapped bytes come from the store and
/// may have been tampered with.
#[async_trait]
pub trait KekProvider: Send + Sync {
    /// Which KEK this is. The same key has the same id forever, another key another one.
    fn kek_id(&self) -> KekId;

    /// What holds the key, in a word for operators: `local`, `aws_kms`, `transit`, `pkcs11`.
    fn kind(&self) -> &'static str;

    /// Encrypts a DEK, bound to `associated_data`.
    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError>;

    /// Decrypts a DEK: exactly the one that was wrapped with the same `associated_data`, or an error.
    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError>;

    /// Hears that the DEK which [`Self::unwrap`] gave is not the one that sealed the row. A provider that remembers
    /// DEKs asks anew for this one.
    fn forget(&self, _wrapped: &[u8], _associated_data: &[u8]) {}
}
