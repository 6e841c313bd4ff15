//! Keys: the DEK of a secret, and the providers that wrap DEKs under a KEK.
//!
//! Nothing here reads the environment or knows what a DEK is used for.

mod keyring;
mod local;
mod trouble;

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use self::{
    keyring::{Keyring, KeyringError},
    local::{InvalidKek, LocalKek},
    trouble::KekTrouble,
};
use crate::{aead::NotAuthentic, blob::FormatError};

/// Which KEK: 16 bytes, in hex. It reveals nothing of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KekId([u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a kek id is 32 hexadecimal digits; copy it from `kek status`")]
pub struct InvalidKekId;

impl KekId {
    /// The kek id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The kek id of a key that cannot be read: from the kind of its provider, and from what identifies it there for
    /// as long as it exists, its version included. Every host that names the key the same way gets the same id.
    pub fn derive(kind: &str, identity: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"tavora/kek-id/v1\0");
        for field in std::iter::once(&kind).chain(identity) {
            // Each field with its length, so that no two lists of fields look the same.
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (id, _) = digest.split_first_chunk().expect("32 bytes hold 16");
        Self(*id)
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KekId {
    type Err = InvalidKekId;

    fn from_str(text: &str) -> Result<Self, InvalidKekId> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidKekId)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for KekId {
    type Error = InvalidKekId;

    fn try_from(text: String) -> Result<Self, InvalidKekId> {
        text.parse()
    }
}

impl From<KekId> for String {
    fn from(id: KekId) -> Self {
        id.to_string()
    }
}

/// A data encryption key: 32 uniform bytes on the heap, so that moving it copies nothing; cleared when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Dek(Box<[u8; 32]>);

impl Dek {
    /// A fresh key from the operating system's generator.
    pub fn make() -> Self {
        let mut dek = Self(Box::new([0; 32]));
        fill_random(dek.0.as_mut_slice());
        dek
    }

    /// Takes a copy of key bytes and clears the original.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let dek = Self(Box::new(*bytes));
        bytes.zeroize();
        dek
    }

    /// The same key once more, for a provider that remembers it.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The key bytes, for a provider to wrap.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

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

/// Fills `bytes` from the operating system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes)
        .expect("the operating system's generator works once the machine has booted");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kek_id_survives_its_text() {
        let id = KekId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("ab".parse::<KekId>(), Err(InvalidKekId));
    }

    #[test]
    fn a_derived_kek_id_tells_every_field_apart() {
        let ids = [
            KekId::derive("transit", &["ab", "c"]),
            KekId::derive("transit", &["a", "bc"]),
            KekId::derive("transit", &["abc"]),
            KekId::derive("pkcs11", &["ab", "c"]),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id));
        }
        // Stored rows are found by it: it must never change.
        assert_eq!(ids[0].to_string(), "2ead469c15e43a9318cf62bc78f118ef");
    }

    #[test]
    fn taking_key_bytes_clears_where_they_were() {
        let mut bytes = [9; 32];
        let dek = Dek::take(&mut bytes);
        assert_eq!((dek.expose(), bytes), (&[9; 32], [0; 32]));
    }
}
