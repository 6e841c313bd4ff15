//! A KEK in a PKCS#11 token: an AES-256 key that never leaves the token, used with GCM.
//!
//! The kek id is derived from the token's label and the key's id (`CKA_ID`), which the
//! configuration names. A random key id identifies this one key in all copies of the token. Calls
//! into the token's library block, so they run on threads of their own, one per session. The
//! sessions are in `pkcs11::session`.
//!
//! ```text
//! wrapped DEK   ┌─────────┬───────────┬──────────────────────┐
//!               │ version │ nonce     │ encrypted DEK ‖ tag  │   61 bytes in all
//!               │ 1 byte  │ 12 bytes  │ 32 + 16 bytes        │
//!               └─────────┴───────────┴──────────────────────┘
//! ```

mod session;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use vault_core::aead::NotAuthentic;
use vault_core::{Dek, FormatError, KekError, KekId, KekProvider, KekTrouble};

use self::session::{Failed, Sessions};
use super::config::{Pkcs11Config, ProviderKind};
use super::wrapped::{VERSION_1, provider_part};

const NONCE_BYTES: usize = 12;
const SEALED_BYTES: usize = 32 + 16;

pub(super) struct Pkcs11 {
    kek_id: KekId,
    sessions: Arc<Sessions>,
    /// One permit per session. The thread holds it, so a call that hangs blocks only its own
    /// session.
    permits: Arc<Semaphore>,
}

impl Pkcs11 {
    pub(super) fn new(config: &Pkcs11Config) -> Self {
        let identity = [config.token_label.as_str(), &config.key_id.to_string()];
        Self {
            kek_id: KekId::derive(ProviderKind::Pkcs11.as_str(), &identity),
            sessions: Arc::new(Sessions::new(config)),
            permits: Arc::new(Semaphore::new(config.max_sessions.get())),
        }
    }

    /// Runs `work` on a thread that may block.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Sessions) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, KekError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        let sessions = Arc::clone(&self.sessions);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&sessions);
            drop(permit);
            done
        });
        let failed = match done.await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(failed)) => failed,
            Err(ended) => Failed::Trouble(KekTrouble::Busy, Some(ended.into())),
        };
        Err(match failed {
            Failed::NotAuthentic => NotAuthentic.into(),
            Failed::Trouble(trouble, source) => KekError::Provider {
                kek_id: self.kek_id,
                kind: self.kind(),
                trouble,
                source,
            },
        })
    }
}

#[async_trait]
impl KekProvider for Pkcs11 {
    fn kek_id(&self) -> KekId {
        self.kek_id
    }

    fn kind(&self) -> &'static str {
        ProviderKind::Pkcs11.as_str()
    }

    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError> {
        let (dek, data) = (dek.duplicate(), associated_data.to_owned());
        self.on_a_thread(move |sessions| {
            let mut nonce = [0; NONCE_BYTES];
            getrandom::fill(&mut nonce)
                .map_err(|error| Failed::Trouble(KekTrouble::Busy, Some(error.into())))?;
            // Some tokens ignore the given nonce and overwrite it with their own.
            let sealed = sessions.seal(&mut nonce, &data, dek.expose())?;
            if sealed.len() != SEALED_BYTES {
                return Err(KekTrouble::Garbled.into());
            }
            Ok([&[VERSION_1], &nonce[..], &sealed].concat())
        })
        .await
    }

    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError> {
        let (nonce, sealed) = provider_part(wrapped)?
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(FormatError::BadLength)?;
        let sealed: [u8; SEALED_BYTES] = sealed.try_into().map_err(|_| FormatError::BadLength)?;
        let (mut nonce, data) = (*nonce, associated_data.to_owned());
        self.on_a_thread(move |sessions| {
            let mut opened = sessions.open(&mut nonce, &data, &sealed)?;
            match <&mut [u8; 32]>::try_from(opened.as_mut_slice()) {
                Ok(dek) => Ok(Dek::take(dek)),
                Err(_) => Err(KekTrouble::Garbled.into()),
            }
        })
        .await
    }
}
