//! The id of a KEK. A row names the key that wraps its DEK by this id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The id of a KEK: 16 bytes, shown in hex. It reveals nothing of the key.
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

    /// The kek id of a key that cannot be read. It is derived from the kind of the provider and
    /// from what identifies the key there for as long as the key exists, its version included.
    /// Every host that names the key the same way gets the same id.
    pub fn derive(kind: &str, identity: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"tavora/kek-id/v1\0");
        for field in std::iter::once(&kind).chain(identity) {
            // Hash each field with its length, so that no two lists of fields look the same.
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
        // Stored rows name their KEK by this id, so it must never change.
        assert_eq!(ids[0].to_string(), "2ead469c15e43a9318cf62bc78f118ef");
    }
}
