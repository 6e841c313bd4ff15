//! Whether the keyring fits the data, and how much each KEK was used.
//!
//! The keyring fits when one of its KEKs wraps a secret here, or when there are no secrets. A
//! canary, a wrapped DEK that protects nothing, tells whether a KEK is still the same key. A KEK
//! that wraps nothing can be forgotten. Moving secrets between KEKs is in `vault::rewrap`.

use std::sync::{PoisonError, atomic::Ordering};

use serde::Serialize;

use super::{KekState, SecretVaults, VaultError};
use crate::{
    audit::{AuditDraft, Caller, Subject, action, subject_kind},
    key::{Dek, KekError, KekId, KekProvider, Keyring},
    store::StoreError,
};

const CANARY_DOMAIN: &[u8] = b"tavora/canary/v1";

/// The number of wraps after which the warning about a worn KEK is repeated.
const WARNING_INTERVAL: u64 = 1 << 16;

/// The use of one KEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KekUse {
    /// The id of the KEK.
    pub kek_id: KekId,
    /// Whether the keyring holds the KEK.
    pub in_keyring: bool,
    /// The kind of the KEK's provider, or `None` if the keyring lacks the KEK.
    pub kind: Option<&'static str>,
    /// The number of secrets that the KEK wraps now.
    pub rows: u64,
    /// The number of DEKs that the KEK has wrapped in all.
    pub wraps: u64,
    /// Whether the KEK has wrapped so many DEKs that it should be replaced.
    pub worn: bool,
    /// Whether the KEK opens its canary, or `None` if this cannot be tried.
    pub canary_ok: Option<bool>,
}

/// The state of all KEKs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KekStatus {
    /// Whether secrets can be stored and released.
    #[serde(flatten)]
    pub state: KekState,
    /// The KEK that wraps new DEKs.
    pub primary: Option<KekId>,
    /// Every KEK that the store knows or the keyring holds.
    pub keks: Vec<KekUse>,
}

impl SecretVaults {
    /// Whether the keyring fits the data, as last found out.
    pub fn kek_state(&self) -> KekState {
        *self
            .0
            .kek_state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses when secrets cannot be stored. Every endpoint that handles secrets asks this first.
    ///
    /// # Errors
    /// [`VaultError::KekUnset`], [`VaultError::KekMismatch`], [`VaultError::KekCanary`] or
    /// [`VaultError::KekUnavailable`].
    pub async fn require_kek(&self) -> Result<(), VaultError> {
        self.fitting_keyring().await.map(drop)
    }

    /// Refuses when there is no keyring, whether it would fit or not.
    ///
    /// # Errors
    /// [`VaultError::KekUnset`].
    pub fn require_keyring(&self) -> Result<(), VaultError> {
        match self.0.keyring {
            Some(_) => Ok(()),
            None => Err(VaultError::KekUnset),
        }
    }

    /// The use of each KEK, and whether the keyring fits the data now.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn kek_status(&self) -> Result<KekStatus, VaultError> {
        let state = self.refresh_kek_state().await?;
        let mut keks = Vec::new();
        for row in self.0.store.keks().await? {
            let canary_ok = match (&self.0.keyring, &row.canary) {
                (Some(keyring), Some(canary)) => canary_opens(keyring, row.kek_id, canary).await,
                _ => None,
            };
            let kind = self.kind_of(row.kek_id);
            let worn = row.wraps >= self.0.options.wraps_warning;
            keks.push(KekUse {
                kek_id: row.kek_id,
                in_keyring: kind.is_some(),
                kind,
                rows: row.rows,
                wraps: row.wraps,
                worn,
                canary_ok,
            });
        }
        let held = self
            .0
            .keyring
            .as_ref()
            .map(Keyring::kek_ids)
            .unwrap_or_default();
        for kek_id in held.iter().copied() {
            if keks.iter().all(|kek| kek.kek_id != kek_id) {
                keks.push(KekUse {
                    kek_id,
                    in_keyring: true,
                    kind: self.kind_of(kek_id),
                    rows: 0,
                    wraps: 0,
                    worn: false,
                    canary_ok: None,
                });
            }
        }
        Ok(KekStatus {
            state,
            primary: held.first().copied(),
            keks,
        })
    }

    /// The kind of a KEK's provider; `None` when the keyring lacks the KEK.
    fn kind_of(&self, kek_id: KekId) -> Option<&'static str> {
        let keyring = self.0.keyring.as_ref()?;
        keyring.find(kek_id).map(|kek| kek.kind())
    }

    /// Checks again whether the keyring fits the data.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn refresh_kek_state(&self) -> Result<KekState, VaultError> {
        let state = match &self.0.keyring {
            None => KekState::Unset,
            Some(keyring) => match self.0.store.check_keks(keyring.kek_ids()).await {
                Err(StoreError::KekMismatch { wanted, rows }) => {
                    KekState::Mismatch { wanted, rows }
                }
                Err(error) => return Err(error.into()),
                Ok(()) => self.try_canary(keyring).await?,
            },
        };
        let before = std::mem::replace(
            &mut *self
                .0
                .kek_state
                .write()
                .unwrap_or_else(PoisonError::into_inner),
            state,
        );
        if before != state {
            match state.check() {
                Ok(()) => tracing::debug!("the keyring fits the data"),
                Err(error) => tracing::error!(%error, "the keyring does not fit the data"),
            }
        }
        Ok(state)
    }

    /// Forgets a KEK that wraps nothing, with its canary and its count of wraps. A host that still
    /// has it in its keyring can open what it read before.
    ///
    /// # Errors
    /// [`VaultError::KekPrimary`], [`VaultError::KekInUse`] or [`VaultError::KekUnknown`].
    pub async fn retire_kek(&self, caller: &Caller, kek_id: KekId) -> Result<(), VaultError> {
        let keyring = self.0.keyring.as_ref();
        if keyring.is_some_and(|keyring| keyring.primary().kek_id() == kek_id) {
            return Err(VaultError::KekPrimary { kek_id });
        }
        let entry = AuditDraft::new(caller, action::KEK_RETIRED)
            .about(Subject::new(subject_kind::KEK, kek_id));
        Ok(self.0.store.retire_kek(kek_id, entry).await?)
    }

    /// Registers a KEK of the keyring with the store if necessary, and checks that it opens its
    /// canary.
    pub(super) async fn ready_kek(
        &self,
        keyring: &Keyring,
        kek_id: KekId,
    ) -> Result<(), VaultError> {
        let kek = keyring
            .find(kek_id)
            .ok_or(VaultError::KekUnknown { kek_id })?;
        let Some(canary) = self.0.store.canary(kek_id).await? else {
            return self.register(keyring, kek).await;
        };
        match kek.unwrap(&canary, &canary_data(kek_id)).await {
            Ok(_) => Ok(()),
            Err(KekError::Format(_) | KekError::NotAuthentic(_)) => {
                Err(VaultError::KekCanary { kek_id })
            }
            Err(away @ KekError::Provider { .. }) => Err(away.into()),
        }
    }

    /// The keyring, if it fits the data and its primary KEK can wrap for this store.
    pub(super) async fn writing_keyring(&self) -> Result<&Keyring, VaultError> {
        let keyring = self.fitting_keyring().await?;
        if !self.0.primary_known.load(Ordering::Acquire) {
            self.register(keyring, keyring.primary()).await?;
            self.0.primary_known.store(true, Ordering::Release);
        }
        Ok(keyring)
    }

    /// Warns that a KEK should be replaced, well before it has used too many random nonces.
    pub(super) fn watch_wraps(&self, kek_id: KekId, wraps: u64) {
        let limit = self.0.options.wraps_warning;
        if wraps >= limit && (wraps - limit).is_multiple_of(WARNING_INTERVAL) {
            tracing::warn!(%kek_id, wraps, "this KEK has wrapped very many DEKs; make a new one and rewrap");
        }
    }

    pub(super) async fn fitting_keyring(&self) -> Result<&Keyring, VaultError> {
        let keyring = self.0.keyring.as_ref().ok_or(VaultError::KekUnset)?;
        let state = match self.kek_state() {
            KekState::Ready => KekState::Ready,
            // Rows and canaries may have changed since the last look.
            _ => self.refresh_kek_state().await?,
        };
        state.check()?;
        Ok(keyring)
    }

    async fn register(&self, keyring: &Keyring, kek: &dyn KekProvider) -> Result<(), VaultError> {
        let kek_id = kek.kek_id();
        let canary = kek.wrap(&Dek::make(), &canary_data(kek_id)).await?;
        let entry = AuditDraft::new(&Caller::host(), action::KEK_REGISTERED)
            .about(Subject::new(subject_kind::KEK, kek_id));
        let readable = keyring.kek_ids();
        Ok(self
            .0
            .store
            .register_kek(kek_id, canary, readable, entry)
            .await?)
    }

    async fn try_canary(&self, keyring: &Keyring) -> Result<KekState, VaultError> {
        let kek = keyring.primary();
        let kek_id = kek.kek_id();
        let tried = match self.0.store.canary(kek_id).await? {
            Some(canary) => {
                self.0.primary_known.store(true, Ordering::Release);
                kek.unwrap(&canary, &canary_data(kek_id)).await.map(drop)
            }
            // Before the first secret there is no canary to open, but a provider that does not work
            // should be known.
            None => kek.wrap(&Dek::make(), &canary_data(kek_id)).await.map(drop),
        };
        Ok(match tried {
            Ok(()) => KekState::Ready,
            Err(KekError::Provider {
                kek_id,
                kind,
                trouble,
                source,
            }) => {
                let cause = source.as_ref().map(|source| source.to_string());
                tracing::debug!(%kek_id, kind, %trouble, cause, "the primary KEK cannot be used");
                KekState::Unavailable {
                    kek_id,
                    kind,
                    trouble,
                }
            }
            Err(KekError::Format(_) | KekError::NotAuthentic(_)) => {
                KekState::CanaryFailed { kek_id }
            }
        })
    }
}

/// Whether a KEK opens its canary, or `None` if this cannot be tried.
async fn canary_opens(keyring: &Keyring, kek_id: KekId, canary: &[u8]) -> Option<bool> {
    let opened = keyring
        .find(kek_id)?
        .unwrap(canary, &canary_data(kek_id))
        .await;
    match opened {
        Ok(_) => Some(true),
        Err(KekError::Format(_) | KekError::NotAuthentic(_)) => Some(false),
        Err(KekError::Provider { .. }) => None,
    }
}

fn canary_data(kek_id: KekId) -> Vec<u8> {
    [CANARY_DOMAIN, kek_id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::{
        key::LocalKek,
        secret::SecretValue,
        store::sqlite::{SqliteOptions, SqliteStore},
    };

    /// Collects the lines of the log.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        /// The lines about the keyring since the last call.
        fn lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines()
                .filter(|line| line.contains("KEK") || line.contains("keyring"))
                .map(str::to_owned)
                .collect()
        }
    }

    #[tokio::test]
    async fn what_the_log_says_of_the_keyring_is_for_people() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = Arc::new(SqliteStore::open(path, SqliteOptions::default()).unwrap());
        let keyring = || Keyring::local(&LocalKek::make_text(), None).unwrap();
        let vaults = SecretVaults::open(store.clone(), Some(keyring()))
            .await
            .unwrap();
        let lines = log.lines();
        assert!(
            matches!(&lines[..], [line] if line.contains("DEBUG") && line.ends_with("the keyring fits the data")),
            "{lines:?}"
        );

        let operator = Caller::operator();
        let app = vaults.create_app(&operator, "Shop".parse().unwrap(), None, None);
        let app_id = app.await.unwrap().id;
        let vault = vaults.create_vault(
            &operator,
            app_id,
            "main".parse().unwrap(),
            Default::default(),
        );
        let vault_id = vault.await.unwrap().id;
        let (name, value) = (
            "A".parse().unwrap(),
            SecretValue::new("v".to_owned()).unwrap(),
        );
        let put = vaults.put_secret(&operator, app_id, vault_id, &name, &value);
        let kek_id = put.await.unwrap().kek_id;
        log.lines();
        SecretVaults::open(store, Some(keyring())).await.unwrap();
        let lines = log.lines();
        let error = VaultError::KekMismatch {
            wanted: kek_id,
            rows: 1,
        };
        assert!(
            matches!(&lines[..], [line] if line.contains("ERROR") && line.contains(&error.to_string())),
            "{lines:?}"
        );
    }
}
