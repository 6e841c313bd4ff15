//! The place of a secret, as the associated data that its ciphertexts are bound to.
//!
//! The length of every field stands before it, so that no two places give the same bytes.

use crate::{
    id::{AppId, VaultId},
    key::KekId,
    secret::{SECRET_NAME_MAX_BYTES, SecretName},
};

const PAYLOAD_DOMAIN: &[u8] = b"tavora/payload-data/v1";
const WRAP_DOMAIN: &[u8] = b"tavora/wrap-data/v1";
const FIELDS_MAX: usize = 7;
const MAX_BYTES: usize =
    2 * FIELDS_MAX + PAYLOAD_DOMAIN.len() + 3 * 16 + SECRET_NAME_MAX_BYTES + 8 + 1;

/// The one place where a sealed secret opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretBinding {
    /// The app that the vault belongs to.
    pub app_id: AppId,
    /// The vault that the secret is in.
    pub vault_id: VaultId,
    /// The name of the secret.
    pub name: SecretName,
    /// The number of times that the secret was written.
    pub version: u64,
}

/// Associated data without a heap allocation. Names are short, and every release needs it.
pub(super) struct AssociatedData {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl SecretBinding {
    /// The associated data of the payload.
    pub(super) fn payload_data(&self, algorithm: u8) -> AssociatedData {
        self.data(PAYLOAD_DOMAIN, algorithm)
    }

    /// The associated data of the wrapped DEK: that of the payload, and the KEK.
    pub(super) fn wrap_data(&self, algorithm: u8, kek_id: KekId) -> AssociatedData {
        let mut data = self.data(WRAP_DOMAIN, algorithm);
        data.push(kek_id.as_bytes());
        data
    }

    fn data(&self, domain: &[u8], algorithm: u8) -> AssociatedData {
        let mut data = AssociatedData {
            bytes: [0; MAX_BYTES],
            length: 0,
        };
        data.push(domain);
        data.push(self.app_id.as_bytes());
        data.push(self.vault_id.as_bytes());
        data.push(self.name.as_str().as_bytes());
        data.push(&self.version.to_be_bytes());
        data.push(&[algorithm]);
        data
    }
}

impl AssociatedData {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, field: &[u8]) {
        let length = u16::try_from(field.len()).expect("no field is longer than a secret name");
        self.append(&length.to_be_bytes());
        self.append(field);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits_and_each_field_counts() {
        let binding = SecretBinding {
            app_id: AppId::from_bytes([1; 16]),
            vault_id: VaultId::from_bytes([2; 16]),
            name: "n".repeat(SECRET_NAME_MAX_BYTES).parse().unwrap(),
            version: u64::MAX,
        };
        let kek_id = KekId::from_bytes([3; 16]);
        let longest = binding.wrap_data(1, kek_id);
        assert!(longest.as_slice().len() <= MAX_BYTES);
        let others = [
            SecretBinding {
                app_id: AppId::from_bytes([9; 16]),
                ..binding.clone()
            },
            SecretBinding {
                vault_id: VaultId::from_bytes([9; 16]),
                ..binding.clone()
            },
            SecretBinding {
                name: "n".parse().unwrap(),
                ..binding.clone()
            },
            SecretBinding {
                version: 1,
                ..binding.clone()
            },
        ];
        for other in &others {
            assert_ne!(
                other.payload_data(1).as_slice(),
                binding.payload_data(1).as_slice()
            );
            assert_ne!(
                other.wrap_data(1, kek_id).as_slice(),
                binding.wrap_data(1, kek_id).as_slice()
            );
        }
        assert_ne!(
            binding.payload_data(1).as_slice(),
            binding.payload_data(2).as_slice()
        );
        assert_ne!(
            binding.wrap_data(1, kek_id).as_slice(),
            binding.wrap_data(1, KekId::from_bytes([4; 16])).as_slice()
        );
    }
}
