//! The actions that this crate records. A host may record its own ones as well.

/// Recorded when an app is created.
pub const APP_CREATED: &str = "app.created";
/// Recorded when an app's designated vault is chosen.
pub const VAULT_DESIGNATED: &str = "app.vault_designated";
/// Recorded when an app's designation is cleared.
pub const DESIGNATION_CLEARED: &str = "app.vault_cleared";
/// Recorded when an API key is created.
pub const API_KEY_CREATED: &str = "api_key.created";
/// Recorded when an API key is revoked.
pub const API_KEY_REVOKED: &str = "api_key.revoked";
/// Recorded when a vault is created.
pub const VAULT_CREATED: &str = "vault.created";
/// Recorded when a vault's metadata is replaced.
pub const VAULT_UPDATED: &str = "vault.updated";
/// Recorded when a vault is deleted with its secrets.
pub const VAULT_DELETED: &str = "vault.deleted";
/// Recorded when a secret is created or overwritten.
pub const SECRET_PUT: &str = "secret.put";
/// Recorded when a secret is deleted.
pub const SECRET_DELETED: &str = "secret.deleted";
/// Recorded when a trusted tool asks for a secret; the outcome says whether that was authorised.
pub const SECRET_RELEASED: &str = "secret.released";
/// Recorded when a secret gets a fresh DEK; its value and its version stay.
pub const SECRET_REENCRYPTED: &str = "secret.reencrypted";
/// Recorded when a KEK is first used with this database.
pub const KEK_REGISTERED: &str = "kek.registered";
/// Recorded when a rewrap begins to move secrets to a KEK.
pub const KEK_REWRAP_STARTED: &str = "kek.rewrap_started";
/// Recorded when that rewrap ends; the outcome says how.
pub const KEK_REWRAP_ENDED: &str = "kek.rewrap_ended";
/// Recorded when a KEK that wraps nothing is forgotten.
pub const KEK_RETIRED: &str = "kek.retired";

/// All actions of this crate. A host must not record these itself: the check of the audit relies on
/// them.
pub const ALL: &[&str] = &[
    APP_CREATED,
    VAULT_DESIGNATED,
    DESIGNATION_CLEARED,
    API_KEY_CREATED,
    API_KEY_REVOKED,
    VAULT_CREATED,
    VAULT_UPDATED,
    VAULT_DELETED,
    SECRET_PUT,
    SECRET_DELETED,
    SECRET_RELEASED,
    SECRET_REENCRYPTED,
    KEK_REGISTERED,
    KEK_REWRAP_STARTED,
    KEK_REWRAP_ENDED,
    KEK_RETIRED,
];
