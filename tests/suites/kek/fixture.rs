//! A vault whose keyring a `tavora.toml` describes.

use std::sync::Arc;

use tavora_host::config::Config;
use tavora_host::kek;
use tempfile::TempDir;
use vault_core::{
    App, Caller, Dek, KekError, KekProvider, KekTrouble, Keyring, LocalKek, Metadata,
    RedactedSecret, ReleaseContext, ReleaseError, SecretValue, SecretVaults, SqliteOptions,
    SqliteStore, VaultError, VaultView,
};

/// Limits that let a test fail quickly, and see every request.
pub const IMPATIENT: &str = "
    [kek.limits]
    request_timeout_ms = 3_000
    max_retries = 0
    pause_after_failure_ms = 0
    dek_lifetime_ms = 0
";

/// The keyring from the text of a `tavora.toml` and these local KEKs.
#[track_caller]
pub fn keyring(config: &str, local: &[&str]) -> Keyring {
    let config = Config::parse(config).unwrap();
    let local = local
        .iter()
        .map(|text| Arc::new(LocalKek::parse(text).unwrap()) as Arc<dyn KekProvider>);
    kek::keyring(&config.kek, config.extra_ca_file(), local.collect())
        .unwrap()
        .unwrap()
}

/// All keys of a keyring, the primary first.
pub fn keks(keyring: &Keyring) -> Vec<&dyn KekProvider> {
    let ids = keyring.kek_ids();
    ids.into_iter()
        .map(|id| keyring.find(id).unwrap())
        .collect()
}

/// Checks that the primary wraps and unwraps.
pub async fn works(keyring: &Keyring) -> Result<(), KekError> {
    let wrapped = keyring.primary().wrap(&Dek::make(), b"place").await?;
    keyring.primary().unwrap(&wrapped, b"place").await.map(drop)
}

/// Checks that an error has this trouble and names the key.
#[track_caller]
pub fn expect(keyring: &Keyring, outcome: Result<(), KekError>, trouble: KekTrouble) {
    let error = outcome.unwrap_err();
    let said = error.to_string();
    assert!(
        matches!(error, KekError::Provider { trouble: found, .. } if found == trouble),
        "expected {trouble:?}, found {error:?}"
    );
    let kek_id = keyring.primary().kek_id().to_string();
    assert!(
        said.contains(&kek_id) && said.contains(&trouble.to_string()),
        "{said}"
    );
}

pub struct Platform {
    pub vaults: SecretVaults,
    pub app: App,
    pub vault: VaultView,
    folder: TempDir,
}

impl Platform {
    pub async fn new(keyring: Keyring) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vaults = open(&folder, keyring).await;
        let operator = Caller::operator();
        let app = vaults
            .create_app(&operator, "Shop".parse().unwrap(), None, None)
            .await
            .unwrap();
        let vault = vaults
            .create_vault(
                &operator,
                app.id,
                "main".parse().unwrap(),
                Metadata::default(),
            )
            .await
            .unwrap();
        vaults
            .designate(&operator, app.id, Some(vault.id))
            .await
            .unwrap();
        Self {
            vaults,
            app,
            vault,
            folder,
        }
    }

    /// Opens the same data with another keyring, as after a restart.
    pub async fn reopened(&self, keyring: Keyring) -> SecretVaults {
        open(&self.folder, keyring).await
    }

    pub async fn put(&self, name: &str, value: &str) -> Result<RedactedSecret, VaultError> {
        let value = SecretValue::new(value.to_owned()).unwrap();
        self.vaults
            .put_secret(
                &Caller::operator(),
                self.app.id,
                self.vault.id,
                &name.parse().unwrap(),
                &value,
            )
            .await
    }

    pub async fn release(&self, name: &str) -> Result<String, ReleaseError> {
        release(&self.vaults, &self.app, name).await
    }
}

pub async fn release(vaults: &SecretVaults, app: &App, name: &str) -> Result<String, ReleaseError> {
    let context = ReleaseContext::new(app.id, "tool", "sha256:0f");
    let released = vaults.release(&context, &name.parse().unwrap()).await?;
    Ok(released.value.expose().to_owned())
}

async fn open(folder: &TempDir, keyring: Keyring) -> SecretVaults {
    let path = folder.path().join("tavora.db");
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    SecretVaults::open(Arc::new(store), Some(keyring))
        .await
        .unwrap()
}
