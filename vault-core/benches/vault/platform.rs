//! Databases of any size to measure on. Nothing is measured here.

use std::{ops::Range, path::Path, sync::Arc, time::Instant};

use vault_core::{
    App, AppId, Caller, Keyring, LocalKek, Metadata, SecretName, SecretValue, SecretVaults,
    SqliteOptions, SqliteStore, VaultId, VaultView,
};

use crate::bench::{Bench, Failure};

/// A database with one app, one designated vault and one secret.
pub struct Platform {
    pub vaults: SecretVaults,
    pub app: App,
    pub vault: VaultView,
    pub name: SecretName,
    pub kek: String,
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn platform(&self) -> Result<Platform, Failure> {
        let folder = folder()?;
        self.runtime.block_on(async {
            let store =
                SqliteStore::open(folder.path().join("vault.db"), SqliteOptions::default())?;
            let kek = LocalKek::make_text().to_string();
            let keyring = Keyring::local(&kek, None)?;
            let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await?;
            let (app, vault) = app_with_vault(&vaults, "bench").await?;
            let name: SecretName = "BRAVE_API_KEY".parse()?;
            let value = SecretValue::new("v".repeat(64))?;
            vaults
                .put_secret(&Caller::operator(), app.id, vault.id, &name, &value)
                .await?;
            Ok(Platform {
                vaults,
                app,
                vault,
                name,
                kek,
                folder,
            })
        })
    }

    /// A platform with `apps` apps of `secrets` secrets each. Many writers fill it at once.
    pub fn filled(&self, apps: usize, secrets: usize) -> Result<Platform, Failure> {
        let platform = self.platform()?;
        let begun = Instant::now();
        self.runtime.block_on(async {
            let mut filling = tokio::task::JoinSet::new();
            for index in 1..apps {
                let vaults = platform.vaults.clone();
                filling.spawn(async move {
                    let (app, vault) = app_with_vault(&vaults, &format!("app {index}")).await?;
                    for secret in 0..secrets {
                        put_numbered(&vaults, &app, &vault, secret).await?;
                    }
                    Ok::<_, Failure>(())
                });
                if filling.len() >= 128 {
                    filling.join_next().await.expect("128 are under way")??;
                }
            }
            while let Some(filled) = filling.join_next().await {
                filled??;
            }
            Ok::<_, Failure>(())
        })?;
        self.fill(
            &platform.vaults,
            &platform.app,
            &platform.vault,
            0..secrets - 1,
        )?;
        let megabytes = size(platform.folder.path()) / 1_000_000;
        eprintln!(
            "filled {apps} apps with {secrets} secrets each in {:.1?}, {megabytes} MB",
            begun.elapsed()
        );
        Ok(platform)
    }

    pub fn fill(
        &self,
        vaults: &SecretVaults,
        app: &App,
        vault: &VaultView,
        secrets: Range<usize>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            for secret in secrets {
                put_numbered(vaults, app, vault, secret).await?;
            }
            Ok(())
        })
    }
}

async fn put_numbered(
    vaults: &SecretVaults,
    app: &App,
    vault: &VaultView,
    secret: usize,
) -> Result<(), Failure> {
    put_in(vaults, app.id, vault.id, secret).await
}

pub async fn put_in(
    vaults: &SecretVaults,
    app_id: AppId,
    vault_id: VaultId,
    secret: usize,
) -> Result<(), Failure> {
    let (name, value) = (
        format!("SECRET_{secret}").parse()?,
        SecretValue::new("v".repeat(64))?,
    );
    vaults
        .put_secret(&Caller::operator(), app_id, vault_id, &name, &value)
        .await?;
    Ok(())
}

async fn app_with_vault(vaults: &SecretVaults, name: &str) -> Result<(App, VaultView), Failure> {
    let caller = Caller::operator();
    let app = vaults
        .create_app(&caller, name.parse()?, None, None)
        .await?;
    let vault = vaults
        .create_vault(&caller, app.id, "main".parse()?, Metadata::default())
        .await?;
    vaults.designate(&caller, app.id, Some(vault.id)).await?;
    Ok((app, vault))
}

/// A folder on the disk of the build. A temporary folder may be in memory, where durability costs
/// nothing.
fn folder() -> Result<tempfile::TempDir, Failure> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

fn size(folder: &Path) -> u64 {
    let files = folder.read_dir().into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
