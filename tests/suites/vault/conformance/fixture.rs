//! Helpers of every topic.

use std::sync::Arc;

use vault_core::{AuditEntry, AuditQuery, SecretVaults, Store};

use crate::fixture::fresh_keyring;

pub(super) async fn open(store: Arc<dyn Store>) -> SecretVaults {
    SecretVaults::open(store, Some(fresh_keyring()))
        .await
        .unwrap()
}

pub(super) async fn audit_of(vaults: &SecretVaults, action: &str) -> Vec<AuditEntry> {
    let query = AuditQuery {
        action: Some(action.to_owned()),
        ..AuditQuery::default()
    };
    vaults.audit_entries(query).await.unwrap().entries
}
