//! The secret vault: apps, API keys, vaults, envelope-encrypted secrets, and the audit of all that
//! happens to them.
//!
//! [`SecretVaults`] is the one public door. Below it, `envelope` seals and opens with the KEKs of
//! `key`, a [`Store`] keeps sealed rows, and `audit` chains what happened. This crate has no
//! runtime for components, no web and no command line, and never reads the environment.
//!
//! ```
//! use std::sync::Arc;
//! use vault_core::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let store = SqliteStore::open(folder.path().join("vault.db"), SqliteOptions::default())?;
//! let keyring = Keyring::local(&LocalKek::make_text(), None)?;
//! let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await?;
//!
//! let operator = Caller::operator();
//! let app = vaults.create_app(&operator, "Shop".parse()?, None, None).await?;
//! let vault = vaults.create_vault(&operator, app.id, "main".parse()?, Metadata::default()).await?;
//! vaults.designate(&operator, app.id, Some(vault.id)).await?;
//! let name: SecretName = "BRAVE_API_KEY".parse()?;
//! vaults.put_secret(&operator, app.id, vault.id, &name, &SecretValue::new("BSA-1".to_owned())?).await?;
//!
//! let context = ReleaseContext::new(app.id, "brave-search", "sha256:0f0f");
//! let released = vaults.release(&context, &name).await?;
//! assert_eq!(released.value.expose(), "BSA-1");
//! assert!(vaults.audit_verify(None).await?.is_clean());
//! vaults.close().await?;
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

pub mod aead;
mod app;
pub mod audit;
mod blob;
mod credential;
pub mod envelope;
mod folders;
mod id;
mod key;
mod metadata;
mod name;
mod oddity;
mod random;
mod revision;
mod rights;
mod secret;
pub mod store;
mod token;
mod vault;

#[cfg(feature = "postgres")]
pub use self::store::postgres::{
    InvalidPostgresUrl, PostgresOptions, PostgresSource, PostgresStore, PostgresTarget, PostgresUrl,
};
#[cfg(feature = "sqlite")]
pub use self::store::sqlite::{SqliteFile, SqliteOptions, SqliteSource, SqliteStore, SqliteTarget};
pub use self::{
    app::{ApiKeyView, App, VaultView},
    audit::{
        Actor, AuditDraft, AuditEntry, AuditPage, AuditQuery, CHAIN_NAME_MAX_CHARS, Caller,
        ChainHash, ChainName, ChainReport, Finding, InvalidChainHash, InvalidChainName, Subject,
        VerifyReport,
    },
    blob::FormatError,
    credential::{
        CREDENTIAL_MAX_BYTES, Credential, CredentialError, Place, file_of, looks_like_a_place,
    },
    envelope::{OpenError, SealedSecret, SecretBinding, WRAPPED_MAX_BYTES},
    folders::{ExposedFolder, check_folders},
    id::{ApiKeyId, AppId, AuditEntryId, InvalidId, TeamId, VaultId},
    key::{
        Dek, InvalidKek, InvalidKekId, KekError, KekId, KekProvider, KekTrouble, Keyring,
        KeyringError, LocalKek,
    },
    metadata::{InvalidMetadata, METADATA_MAX_BYTES, Metadata},
    name::{
        ApiKeyName, AppName, AppSlug, InvalidAppSlug, InvalidName, NAME_MAX_CHARS, SLUG_MAX_BYTES,
        VaultName,
    },
    oddity::{
        Oddity, SECRET_VALUE_SHORT_BYTES, is_invisible, oddities, token_oddity,
        without_surroundings,
    },
    revision::{Condition, ConditionNotMet, InvalidRevision, Revision},
    rights::Rights,
    secret::{
        InvalidSecretName, InvalidSecretValue, RedactedSecret, SECRET_NAME_MAX_BYTES,
        SECRET_VALUE_MAX_BYTES, SecretName, SecretValue,
    },
    store::{
        Store, StoreError, StoreStats,
        transfer::{
            TableCount, TableDigest, TransferError, TransferPhase, TransferProgress,
            TransferSource, TransferTarget, Transferred,
        },
    },
    vault::{
        AuditExport, BatchSize, EnvelopeStats, InvalidBatchSize, KekRows, KekState, KekStatus,
        KekUse, OpenReport, ReleaseContext, ReleaseError, Released, RewrapOptions, RewrapOutcome,
        RewrapProgress, RewrapReport, SecretVaults, UNREADABLE_NAMED_MAX, Unavailability,
        UnreadableCause, UnreadableSecret, VaultError, VaultOptions,
    },
};
