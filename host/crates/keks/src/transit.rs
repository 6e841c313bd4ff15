//! A KEK in the Transit engine of HashiCorp Vault or OpenBao.
//!
//! The kek id is derived from the namespace, the mount, the key's name and its version. The server
//! is left out: other hosts reach the same key under other names, and a key moves with a backup or
//! a replication. So a key's name must not be used for another key on any other server. The session
//! with the server, and the meaning of its refusals, are in `transit::client`.
//!
//! ```text
//! wrapped DEK   ┌─────────┬──────────────────────────────────────────────────────────┐
//!               │ version │ the ciphertext, without its "vault:vN:" and its base64   │   61 bytes with AES-GCM
//!               │ 1 byte  │                                                          │
//!               └─────────┴──────────────────────────────────────────────────────────┘
//! ```

mod approle;
mod client;
mod server;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use vault_core::{Dek, KekError, KekId, KekProvider, KekTrouble};
use zeroize::Zeroizing;

use self::client::Client;
use self::server::Failed;
use super::config::{KekLimits, ProviderKind, TransitConfig};
use super::wrapped::{VERSION_1, provider_part};

/// The length of a DEK, in bytes and in base64.
const DEK_BYTES: usize = 32;
const DEK_BASE64_BYTES: usize = 44;

pub(super) struct Transit {
    kek_id: KekId,
    client: Client,
    /// `MOUNT/encrypt/KEY` and `MOUNT/decrypt/KEY`.
    encrypt_path: String,
    decrypt_path: String,
    key_version: u32,
}

#[derive(Serialize)]
struct Encrypt {
    plaintext: Zeroizing<String>,
    associated_data: String,
    key_version: u32,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Serialize)]
struct Decrypt {
    ciphertext: String,
    associated_data: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: Zeroizing<String>,
}

impl Transit {
    pub(super) fn new(
        config: &TransitConfig,
        limits: &KekLimits,
        tls: ClientConfig,
    ) -> Result<Self, &'static str> {
        let (mount, key) = (config.mount.as_str(), config.key.as_str());
        if key.contains('/') {
            return Err("a key's name has no slash; `mount` is where the engine's path belongs");
        }
        let namespace = config.namespace.as_ref().map_or("", |name| name.as_str());
        let version = config.key_version.to_string();
        let identity = [namespace, mount, key, &version];
        Ok(Self {
            kek_id: KekId::derive(ProviderKind::Transit.as_str(), &identity),
            client: Client::new(config, limits, tls)?,
            encrypt_path: format!("{mount}/encrypt/{key}"),
            decrypt_path: format!("{mount}/decrypt/{key}"),
            key_version: config.key_version.get(),
        })
    }

    /// Returns the text before the base64 of every ciphertext of this version.
    fn prefix(&self) -> String {
        format!("vault:v{}:", self.key_version)
    }

    fn error(&self, failed: Failed) -> KekError {
        match failed {
            Failed::NotAuthentic => KekError::NotAuthentic(vault_core::aead::NotAuthentic),
            Failed::Trouble(trouble, source) => KekError::Provider {
                kek_id: self.kek_id,
                kind: self.kind(),
                trouble,
                source,
            },
        }
    }

    fn garbled(&self) -> KekError {
        self.error(Failed::Trouble(KekTrouble::Garbled, None))
    }
}

#[async_trait]
impl KekProvider for Transit {
    fn kek_id(&self) -> KekId {
        self.kek_id
    }

    fn kind(&self) -> &'static str {
        ProviderKind::Transit.as_str()
    }

    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError> {
        // The capacity is exact: growing would leave a copy behind.
        let mut plaintext = Zeroizing::new(String::with_capacity(DEK_BASE64_BYTES));
        STANDARD.encode_string(dek.expose(), &mut plaintext);
        let request = Encrypt {
            plaintext,
            associated_data: STANDARD.encode(associated_data),
            key_version: self.key_version,
        };
        let answer: Encrypted = self
            .client
            .post(&self.encrypt_path, &request)
            .await
            .map_err(|failed| self.error(failed))?;
        let ciphertext = answer.ciphertext.strip_prefix(&self.prefix());
        let ciphertext = ciphertext.and_then(|text| STANDARD.decode(text).ok());
        let ciphertext = ciphertext.ok_or_else(|| self.garbled())?;
        Ok([&[VERSION_1], &ciphertext[..]].concat())
    }

    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError> {
        let ciphertext = STANDARD.encode(provider_part(wrapped)?);
        let request = Decrypt {
            ciphertext: self.prefix() + &ciphertext,
            associated_data: STANDARD.encode(associated_data),
        };
        let answer: Decrypted = self
            .client
            .post(&self.decrypt_path, &request)
            .await
            .map_err(|failed| self.error(failed))?;
        // One byte longer than a DEK, so that a value that is too long is noticed.
        let mut bytes = Zeroizing::new([0; DEK_BYTES + 1]);
        let length = STANDARD.decode_slice(answer.plaintext.as_str(), bytes.as_mut_slice());
        match (length, bytes.first_chunk_mut::<DEK_BYTES>()) {
            (Ok(DEK_BYTES), Some(dek)) => Ok(Dek::take(dek)),
            _ => Err(self.garbled()),
        }
    }
}
