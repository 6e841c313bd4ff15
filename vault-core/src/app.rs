//! Apps, vaults and API keys as they are shown.
//!
//! Nothing secret is here: of an API key there is only its public part.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    id::{ApiKeyId, AppId, TeamId, VaultId},
    metadata::Metadata,
    name::{ApiKeyName, AppName, AppSlug, VaultName},
    revision::Revision,
};

/// An app: the scope of vaults and API keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct App {
    /// Which app.
    pub id: AppId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// Its name.
    pub name: AppName,
    /// Its short name, unique in the database.
    pub slug: AppSlug,
    /// What it is for; may be empty.
    pub description: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its designation last changed.
    pub updated_at: Timestamp,
    /// The designated vault.
    pub vault_id: Option<VaultId>,
}

/// A vault without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VaultView {
    /// Which vault.
    pub id: VaultId,
    /// The app it belongs to.
    pub app_id: AppId,
    /// The same as `app_id`, under the newer name that clients use.
    pub project_id: AppId,
    /// Its name, unique in the app.
    pub name: VaultName,
    /// Its free-form metadata.
    pub metadata: Metadata,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its metadata last changed.
    pub updated_at: Timestamp,
}

impl VaultView {
    /// The state that is shown; a change can be made on the condition that it is still the current one. The vault's
    /// secrets have revisions of their own and no part in this one.
    pub fn revision(&self) -> Revision {
        let shown = serde_json::to_vec(self).expect("ids, names, times and a JSON object are JSON");
        Revision::derive(&shown)
    }
}

/// An API key without its secret part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApiKeyView {
    /// Which key.
    pub id: ApiKeyId,
    /// The app it opens.
    pub app_id: AppId,
    /// Its name.
    pub name: ApiKeyName,
    /// The public start of its token, to recognise it by.
    pub prefix: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}
