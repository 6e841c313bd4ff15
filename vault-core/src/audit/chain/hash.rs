//! The hash of an audit entry, and how fields enter it.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The hash of an audit entry, shown in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an audit hash is 64 hexadecimal digits; copy it from `audit verify`")]
pub struct InvalidChainHash;

impl ChainHash {
    /// The hash before the first entry of the chain without a name. Other chains begin with
    /// [`ChainName::genesis`](super::ChainName::genesis).
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash of all fields that were added.
    pub(in crate::audit) fn of(fields: Sha256) -> Self {
        Self(fields.finalize().into())
    }

    /// The bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChainHash {
    type Err = InvalidChainHash;

    fn from_str(text: &str) -> Result<Self, InvalidChainHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidChainHash)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for ChainHash {
    type Error = InvalidChainHash;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidChainHash> {
        bytes.try_into().map(Self).map_err(|_| InvalidChainHash)
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Adds a field with its length before it, so that no field can borrow bytes from its neighbour.
pub(in crate::audit) fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// Adds a field that may be missing. A missing field hashes differently from an empty one.
pub(in crate::audit) fn optional(hash: &mut Sha256, bytes: Option<&[u8]>) {
    hash.update([u8::from(bytes.is_some())]);
    field(hash, bytes.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text() {
        let hash = ChainHash([0xcd; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("cd".parse::<ChainHash>(), Err(InvalidChainHash));
    }
}
