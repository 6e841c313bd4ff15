//! Apps, vaults and API keys as clients see them.
//!
//! Nothing here is secret: an API key shows only its public part.

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
    /// The id, unique everywhere.
    pub id: AppId,
    /// The team that the app belongs to.
    pub team_id: TeamId,
    /// The name for people; two apps may share it.
    pub name: AppName,
    /// The short name, unique in the database.
    pub slug: AppSlug,
    /// The purpose in the words of its owner; may be empty.
    pub description: String,
    /// When the app was created.
    pub created_at: Timestamp,
    /// When the app or its designation last changed.
    pub updated_at: Timestamp,
    /// The designated vault, from which tools get secrets.
    pub vault_id: Option<VaultId>,
}

/// A vault without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VaultView {
    /// The id, unique everywhere.
    pub id: VaultId,
    /// The app that the vault belongs to.
    pub app_id: AppId,
    /// The same id as `app_id`, under the newer name that clients use.
    pub project_id: AppId,
    /// The name, unique in the app.
    pub name: VaultName,
    /// Free-form metadata; one member binds secrets to origins.
    pub metadata: Metadata,
    /// When the vault was created.
    pub created_at: Timestamp,
    /// When the metadata last changed.
    pub updated_at: Timestamp,
}

impl VaultView {
    /// The revision of the state that is shown here. A change can be made on the condition that
    /// this revision is still the current one. Secrets have revisions of their own and do not
    /// change this one.
    pub fn revision(&self) -> Revision {
        let shown = serde_json::to_vec(self).expect("ids, names, times and a JSON object are JSON");
        Revision::derive(&shown)
    }
}

/// An API key without its secret part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApiKeyView {
    /// The id, which is also the public part of the token.
    pub id: ApiKeyId,
    /// The app that the key gives access to.
    pub app_id: AppId,
    /// The name for people; two keys may share it.
    pub name: ApiKeyName,
    /// The public start of the token, by which people recognise the key.
    pub prefix: String,
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the key stops working, if it expires.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}
