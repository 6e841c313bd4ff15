//! Vaults and designations in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    ask::{Ask, Param},
    columns::{column, count, now_ms, time},
    group::{Change, Group},
};
use crate::{
    app::VaultView,
    audit::AuditDraft,
    id::{AppId, VaultId},
    metadata::Metadata,
    name::VaultName,
    revision::Condition,
    store::{NewVault, StoreError, VaultStore, list::readable},
};

const VAULTS: &str = "SELECT id, app_id, name, metadata, created_at, updated_at FROM vaults
    WHERE app_id = $1 ORDER BY created_at, id";
const VAULT: &str = "SELECT id, app_id, name, metadata, created_at, updated_at FROM vaults
    WHERE app_id = $1 AND id = $2";
const VAULT_BY_NAME: &str = "SELECT id, app_id, name, metadata, created_at, updated_at FROM vaults
    WHERE app_id = $1 AND name = $2";

#[async_trait]
impl VaultStore for PostgresStore {
    async fn create_vault(
        &self,
        vault: NewVault,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError> {
        self.writer.change(CreateVault { vault, entry }).await
    }

    async fn vaults(&self, app_id: AppId) -> Result<Vec<VaultView>, StoreError> {
        let rows = self.readers.rows(VAULTS, &[&app_id]).await?;
        readable("vault", rows.iter().map(vault))
    }

    async fn vault(&self, app_id: AppId, id: VaultId) -> Result<Option<VaultView>, StoreError> {
        let row = self.readers.row(VAULT, &[&app_id, &id]).await?;
        row.as_ref().map(vault).transpose()
    }

    async fn vault_by_name(
        &self,
        app_id: AppId,
        name: &VaultName,
    ) -> Result<Option<VaultView>, StoreError> {
        let row = self.readers.row(VAULT_BY_NAME, &[&app_id, name]).await?;
        row.as_ref().map(vault).transpose()
    }

    async fn update_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        metadata: Metadata,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<VaultView, StoreError> {
        let update = UpdateVault {
            app_id,
            id,
            metadata,
            condition,
            entry,
        };
        self.writer.change(update).await
    }

    async fn delete_vault(
        &self,
        app_id: AppId,
        id: VaultId,
        condition: Condition,
        entry: AuditDraft,
    ) -> Result<u64, StoreError> {
        let delete = DeleteVault {
            app_id,
            id,
            condition,
            entry,
        };
        self.writer.change(delete).await
    }

    async fn designate(
        &self,
        app_id: AppId,
        vault_id: Option<VaultId>,
        entry: AuditDraft,
    ) -> Result<(), StoreError> {
        let designate = Designate {
            app_id,
            vault_id,
            entry,
        };
        self.writer.change(designate).await
    }
}

struct CreateVault {
    vault: NewVault,
    entry: AuditDraft,
}

#[async_trait]
impl Change for CreateVault {
    type Made = VaultView;

    async fn make(&self, group: &mut Group<'_>) -> Result<VaultView, StoreError> {
        let insert = "INSERT INTO vaults (id, app_id, name, metadata, created_at, updated_at)
            SELECT $1, id, $3, $4, $5, $5 FROM apps WHERE id = $2
            RETURNING id, app_id, name, metadata, created_at, updated_at";
        let NewVault {
            id,
            app_id,
            name,
            metadata,
        } = &self.vault;
        let row = group
            .row(insert, &[id, app_id, name, metadata, &now_ms()])
            .await?;
        let row = row.ok_or(StoreError::NotFound)?;
        group.append(self.entry.clone())?;
        vault(&row)
    }
}

struct UpdateVault {
    app_id: AppId,
    id: VaultId,
    metadata: Metadata,
    condition: Condition,
    entry: AuditDraft,
}

#[async_trait]
impl Change for UpdateVault {
    type Made = VaultView;

    fn app(&self) -> Option<AppId> {
        Some(self.app_id)
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<VaultView, StoreError> {
        check(group, self.app_id, self.id, &self.condition).await?;
        let update =
            "UPDATE vaults SET metadata = $1, updated_at = $2 WHERE app_id = $3 AND id = $4
            RETURNING id, app_id, name, metadata, created_at, updated_at";
        let row = group
            .row(update, &[&self.metadata, &now_ms(), &self.app_id, &self.id])
            .await?;
        let row = row.ok_or(StoreError::NotFound)?;
        group.append(self.entry.clone())?;
        vault(&row)
    }
}

struct DeleteVault {
    app_id: AppId,
    id: VaultId,
    condition: Condition,
    entry: AuditDraft,
}

#[async_trait]
impl Change for DeleteVault {
    type Made = u64;

    fn app(&self) -> Option<AppId> {
        Some(self.app_id)
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<u64, StoreError> {
        check(group, self.app_id, self.id, &self.condition).await?;
        let secrets = "SELECT count(*) FROM secrets WHERE vault_id = $1";
        let secrets = group.row(secrets, &[&self.id]).await?;
        let secrets = secrets.map_or(Ok(0), |row| count(&row, 0))?;
        let clear =
            "UPDATE apps SET vault_id = NULL, updated_at = $1 WHERE id = $2 AND vault_id = $3";
        group
            .change(clear, &[&now_ms(), &self.app_id, &self.id])
            .await?;
        // The vault's secrets are deleted with it: ON DELETE CASCADE.
        let delete = "DELETE FROM vaults WHERE app_id = $1 AND id = $2";
        if group.change(delete, &[&self.app_id, &self.id]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        group.append(self.entry.clone().detail("secrets", secrets))?;
        Ok(secrets)
    }
}

struct Designate {
    app_id: AppId,
    vault_id: Option<VaultId>,
    entry: AuditDraft,
}

#[async_trait]
impl Change for Designate {
    type Made = ();

    fn app(&self) -> Option<AppId> {
        Some(self.app_id)
    }

    async fn make(&self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let update = "UPDATE apps SET vault_id = $1, updated_at = $2 WHERE id = $3
            AND ($1::bytea IS NULL OR EXISTS (SELECT 1 FROM vaults WHERE id = $1 AND app_id = $3))";
        let params: [Param<'_>; 3] = [&self.vault_id, &now_ms(), &self.app_id];
        if group.change(update, &params).await? == 0 {
            return Err(StoreError::NotFound);
        }
        group.append(self.entry.clone())
    }
}

/// Checks the condition. A missing vault is reported as missing, not as a failed condition.
async fn check(
    group: &Group<'_>,
    app_id: AppId,
    id: VaultId,
    condition: &Condition,
) -> Result<(), StoreError> {
    let row = group.row(VAULT, &[&app_id, &id]).await?;
    condition.check(|| Ok(Some(vault(&row.ok_or(StoreError::NotFound)?)?.revision())))
}

fn vault(row: &Row) -> Result<VaultView, StoreError> {
    let app_id = column(row, 1)?;
    Ok(VaultView {
        id: column(row, 0)?,
        app_id,
        project_id: app_id,
        name: column(row, 2)?,
        metadata: column(row, 3)?,
        created_at: time(row, 4)?,
        updated_at: time(row, 5)?,
    })
}
