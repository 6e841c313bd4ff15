//! What happened: the actions that this crate records. A host may record its own beside them.

/// An app was created.
pub const APP_CREATED: &str = "app.created";
/// An app's designated vault was chosen.
pub const VAULT_DESIGNATED: &str = "app.vault_designated";
/// An app's designation was cleared.
pub const DESIGNATION_CLEARED: &str = "app.vault_cleared";
/// An API key was created.
pub const API_KEY_CREATED: &str = "api_key.created";
/// An API key was revoked.
pub const API_KEY_REVOKED: &str = "api_key.revoked";
/// A vault was created.
pub const VAULT_CREATED: &str = "vault.created";
/// A vault's metadata was replaced.
pub const VAULT_UPDATED: &str = "vault.updated";
/// A vault was deleted with its secrets.
pub const VAULT_DELETED: &str = "vault.deleted";
/// A secret was created or overwritten.
pub const SECRET_PUT: &str = "secret.put";
/// A secret was deleted.
pub const SECRET_DELETED: &str = "secret.deleted";
/// A trusted tool asked for a secret; the outcome says whether it was authorised.
pub const SECRET_RELEASED: &str = "secret.released";
/// A secret was put under a fresh DEK; its value and its version stayed.
pub const SECRET_REENCRYPTED: &str = "secret.reencrypted";
/// A KEK was used with this database for the first time.
pub const KEK_REGISTERED: &str = "kek.registered";
/// Secrets began to be moved to a KEK.
pub const KEK_REWRAP_STARTED: &str = "kek.rewrap_started";
/// That ended; the outcome says how.
pub const KEK_REWRAP_ENDED: &str = "kek.rewrap_ended";
/// A KEK that wraps nothing any more was forgotten.
pub const KEK_RETIRED: &str = "kek.retired";

/// All of them. A host that recorded these itself would confuse the check of the audit.
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
