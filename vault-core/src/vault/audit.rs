//! Recording in the audit, reading it, exporting it and checking it.
//!
//! The vault records each of its own operations in the transaction of the operation.

use super::{SecretVaults, VaultError};
use crate::audit::{
    AuditDraft, AuditEntry, AuditPage, AuditQuery, ChainHash, Verifier, VerifyReport, action,
};

impl SecretVaults {
    /// Records something that the host saw or did.
    ///
    /// # Errors
    /// [`VaultError::ReservedAction`] for the actions of this crate, or the audit cannot be
    /// written.
    pub async fn record(&self, entry: AuditDraft) -> Result<AuditEntry, VaultError> {
        if action::ALL.contains(&&*entry.action) {
            return Err(VaultError::ReservedAction {
                action: entry.action.into_owned(),
            });
        }
        Ok(self.0.store.append(entry).await?)
    }

    /// A page of the audit, newest first.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn audit_entries(&self, query: AuditQuery) -> Result<AuditPage, VaultError> {
        Ok(self.0.store.audit_page(query).await?)
    }

    /// All entries that match a query's filters, newest first, in batches. The query's `limit` and
    /// `offset` are for pages and have no effect here.
    pub fn audit_export(&self, query: AuditQuery) -> AuditExport {
        AuditExport {
            vaults: self.clone(),
            query,
            position: Position::Newest,
        }
    }

    /// Checks the whole audit and every secret's row against it. Each expected head, kept
    /// elsewhere, must be in the audit. No KEK is needed.
    ///
    /// # Errors
    /// The store does not work. Problems of the audit are in the report.
    pub async fn audit_verify(
        &self,
        expected_heads: impl IntoIterator<Item = ChainHash>,
    ) -> Result<VerifyReport, VaultError> {
        let verifier = Verifier::new(expected_heads.into_iter().collect());
        Ok(self.0.store.verify(verifier).await?)
    }
}

/// An export of the audit in progress.
///
/// Each batch is a read of its own, so that a long export holds up nothing. Entries that are
/// appended after the first batch are not part of it.
pub struct AuditExport {
    vaults: SecretVaults,
    query: AuditQuery,
    position: Position,
}

enum Position {
    Newest,
    Before(i64),
    End,
}

impl AuditExport {
    /// The next entries, at most [`AUDIT_PAGE_MAX`](crate::audit::AUDIT_PAGE_MAX); `None` after the
    /// last ones.
    ///
    /// # Errors
    /// The store does not work. The next call tries again.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<AuditEntry>>, VaultError> {
        loop {
            let before_place = match self.position {
                Position::Newest => None,
                Position::Before(place) => Some(place),
                Position::End => return Ok(None),
            };
            let store = &self.vaults.0.store;
            let batch = store.audit_batch(self.query.clone(), before_place).await?;
            self.position = batch.next.map_or(Position::End, Position::Before);
            if !batch.entries.is_empty() {
                return Ok(Some(batch.entries));
            }
        }
    }
}
