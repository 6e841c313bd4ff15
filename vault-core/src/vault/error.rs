//! Errors of the vault. The variants are causes.

use jiff::Timestamp;

use crate::{
    key::{KekError, KekId, KekTrouble},
    name::{AppSlug, InvalidAppSlug, VaultName},
    revision::ConditionNotMet,
    store::StoreError,
};

/// Why an operation on apps, API keys, vaults or secrets failed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The thing does not exist, or belongs to another app.
    #[error("there is no such {what}; list what there is")]
    NotFound {
        /// The kind of thing: `app`, `vault` or `API key`.
        what: &'static str,
    },
    /// Another vault of the app has this name.
    #[error("the app has a vault named {:?} already; choose another name", name.as_str())]
    VaultNameTaken {
        /// The name in question.
        name: VaultName,
    },
    /// Another app has this slug.
    #[error("there is an app with the slug {:?} already; choose another", slug.as_str())]
    AppSlugTaken {
        /// The slug in question.
        slug: AppSlug,
    },
    /// No slug can be made from the app's name.
    #[error(transparent)]
    Slug(#[from] InvalidAppSlug),
    /// The token gives access to nothing.
    #[error("the API key is missing, malformed, unknown, expired or revoked; create a new one")]
    ApiKeyRefused,
    /// The process has no keyring.
    #[error("no KEK is configured; set TAVORA_SECRET_KEK and start again")]
    KekUnset,
    /// The data belongs to another KEK.
    #[error(
        "{rows} secrets need the KEK {wanted}, which is not in the keyring; set TAVORA_SECRET_KEK to it, or, if that is a new KEK, add the old one to TAVORA_SECRET_KEK_PREVIOUS"
    )]
    KekMismatch {
        /// The KEK that most of the data needs.
        wanted: KekId,
        /// The number of secrets that need this KEK.
        rows: u64,
    },
    /// The primary KEK does not open the canary that it once made.
    #[error(
        "the KEK {kek_id} does not open its canary: the key behind this id changed, or the canary is damaged"
    )]
    KekCanary {
        /// The KEK in question.
        kek_id: KekId,
    },
    /// The provider of the KEK failed.
    #[error("the KEK {kek_id} of the provider {kind} cannot be used: {trouble}")]
    KekUnavailable {
        /// The KEK in question.
        kek_id: KekId,
        /// The kind of the provider.
        kind: &'static str,
        /// The fault, and how to correct it.
        trouble: KekTrouble,
    },
    /// The KEK did not wrap.
    #[error("the secret's DEK could not be wrapped; see the KEK provider")]
    Wrap(#[source] KekError),
    /// The keyring lacks the KEK that secrets should be moved to.
    #[error(
        "the KEK {kek_id}, which wraps {rows} secrets, is not in the keyring; add it to TAVORA_SECRET_KEK_PREVIOUS, or name one that `kek status` shows at hand"
    )]
    KekNotHeld {
        /// The KEK in question.
        kek_id: KekId,
        /// The number of secrets that the KEK wraps.
        rows: u64,
    },
    /// The database does not know the KEK.
    #[error("the database knows no KEK {kek_id}; take a kek id from `kek status`")]
    KekUnknown {
        /// The KEK in question.
        kek_id: KekId,
    },
    /// A KEK that still wraps secrets cannot be retired.
    #[error("{rows} secrets still need the KEK {kek_id}; move them with `kek rewrap` first")]
    KekInUse {
        /// The KEK in question.
        kek_id: KekId,
        /// The number of secrets that the KEK wraps.
        rows: u64,
    },
    /// The primary KEK cannot be retired.
    #[error(
        "the KEK {kek_id} is the primary one, which new secrets are wrapped with; make another one primary first"
    )]
    KekPrimary {
        /// The KEK in question.
        kek_id: KekId,
    },
    /// Unwrapping with the KEK did not return the wrapped key. Nothing was stored with it.
    #[error(
        "the KEK {kek_id} does not give back what it wraps, and nothing more was moved to it; check its provider before anything is stored with it"
    )]
    KekUntrue {
        /// The KEK in question.
        kek_id: KekId,
    },
    /// The current state does not meet the condition of the change. Nothing was changed.
    #[error(
        "what was to be changed is not at the revision that was named; read it again, then decide"
    )]
    PreconditionFailed,
    /// The expiry of an API key is in the past.
    #[error("the expiry {at} is not in the future; choose a later one, or none")]
    ExpiryPast {
        /// The expiry in question.
        at: Timestamp,
    },
    /// Other writes to the same secret came first, again and again.
    #[error("the secret is being written too often at once; try again")]
    Contended,
    /// A host tried to record an action that only the vault records.
    #[error("the audit action {action:?} is the vault's own; name the host's differently")]
    ReservedAction {
        /// The action in question.
        action: String,
    },
    /// The store failed.
    #[error("the vault's store is unavailable: {0}")]
    Store(StoreError),
}

impl From<KekError> for VaultError {
    fn from(error: KekError) -> Self {
        match error {
            KekError::Provider {
                kek_id,
                kind,
                trouble,
                ..
            } => Self::KekUnavailable {
                kek_id,
                kind,
                trouble,
            },
            other => Self::Wrap(other),
        }
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KekMismatch { wanted, rows } => Self::KekMismatch { wanted, rows },
            StoreError::KekInUse { kek_id, rows } => Self::KekInUse { kek_id, rows },
            StoreError::UnknownKek { kek_id } => Self::KekUnknown { kek_id },
            StoreError::PreconditionFailed => Self::PreconditionFailed,
            other => Self::Store(other),
        }
    }
}

impl From<ConditionNotMet> for VaultError {
    fn from(ConditionNotMet: ConditionNotMet) -> Self {
        Self::PreconditionFailed
    }
}

/// Names the missing thing, where the store only reports that something is missing.
pub(super) fn not_found(what: &'static str) -> impl Fn(StoreError) -> VaultError {
    move |error| match error {
        StoreError::NotFound => VaultError::NotFound { what },
        other => other.into(),
    }
}
