//! The result of a release and its audit entry, for every store.

use super::ReleaseRow;
use crate::{
    audit::{AuditDraft, Subject, outcome, subject_kind},
    envelope::{SealedSecret, SecretBinding},
    id::{AppId, VaultId},
    key::KekId,
    metadata::Metadata,
    secret::SecretName,
};

/// The result of looking up a name that an app asks for.
#[derive(Clone)]
pub enum Found {
    /// The app designates no vault.
    NoVaultDesignated,
    /// The designated vault has no such secret.
    NoSecret {
        /// The designated vault.
        vault_id: VaultId,
    },
    /// The designated vault has the secret.
    Secret {
        /// The designated vault.
        vault_id: VaultId,
        /// The metadata of the vault.
        metadata: Metadata,
        /// The version of the secret.
        version: u64,
        /// The KEK that wraps the secret's DEK.
        kek_id: KekId,
        /// The wrapped DEK of the secret.
        wrapped: Vec<u8>,
        /// The sealed value of the secret.
        payload: Vec<u8>,
    },
}

impl Found {
    /// The entry that records a release, and the result of the release.
    pub fn recorded(
        self,
        app_id: AppId,
        name: SecretName,
        entry: AuditDraft,
    ) -> (AuditDraft, ReleaseRow) {
        match self {
            Self::NoVaultDesignated => {
                let entry = entry.about(Subject::new(subject_kind::SECRET, &name));
                let entry = entry.outcome(outcome::NO_VAULT_DESIGNATED);
                (entry, ReleaseRow::NoVaultDesignated)
            }
            Self::NoSecret { vault_id } => {
                let entry = entry.about(Subject::secret(vault_id, &name));
                (entry.outcome(outcome::NOT_FOUND), ReleaseRow::NotFound)
            }
            Self::Secret {
                vault_id,
                metadata,
                version,
                kek_id,
                wrapped,
                payload,
            } => {
                let entry = entry.about(Subject::secret(vault_id, &name));
                let entry = entry.version(version).outcome(outcome::AUTHORISED);
                let binding = SecretBinding {
                    app_id,
                    vault_id,
                    name,
                    version,
                };
                let sealed = SealedSecret {
                    binding,
                    kek_id,
                    wrapped,
                    payload,
                };
                (entry, ReleaseRow::Authorised { sealed, metadata })
            }
        }
    }
}
