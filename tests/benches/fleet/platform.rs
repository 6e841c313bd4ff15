//! Fills both stores with the same secrets, and does the measured work on them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tavora_host::storage::{self, config::PostgresConfig};
use vault_core::store::transfer::{TransferProgress, Transferred, transfer};
use vault_core::{
    AppId, AuditDraft, Caller, Keyring, LocalKek, Metadata, PostgresOptions, PostgresTarget,
    ReleaseContext, RewrapOptions, SecretName, SecretValue, SecretVaults, SqliteSource, VaultId,
};

use crate::task::{Place, Task, Work};

/// The number of apps that are filled at once.
const FILLING: usize = 128;

/// The number of apps to measure at.
const MEASURED: usize = 2;

/// A SQLite file with many apps, and the KEK of its secrets.
pub struct Filled {
    folder: tempfile::TempDir,
    kek: String,
    /// The places of the first apps.
    places: Vec<Place>,
}

/// An open database.
pub struct Platform {
    pub vaults: SecretVaults,
    pub app: AppId,
    pub vault: VaultId,
}

impl Filled {
    pub async fn new(apps: usize, secrets: usize) -> Result<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let kek = LocalKek::make_text().to_string();
        let url = format!("sqlite://{}", folder.path().join("vault.db").display());
        let vaults = open(&url, "bench", &kek, None).await?;
        let mut places = Vec::new();
        for index in 0..MEASURED {
            places.push(fill_app(&vaults, &format!("app {index}"), secrets).await?);
        }
        let mut filling = tokio::task::JoinSet::new();
        for index in MEASURED..apps {
            let vaults = vaults.clone();
            filling.spawn(async move { fill_app(&vaults, &format!("app {index}"), secrets).await });
            if filling.len() >= FILLING {
                filling.join_next().await.expect("some are under way")??;
            }
        }
        while let Some(filled) = filling.join_next().await {
            filled??;
        }
        vaults.close().await?;
        Ok(Self {
            folder,
            kek,
            places,
        })
    }

    pub fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    /// The task of a host with this name, at one of the first apps.
    pub fn task(&self, url: &str, name: &str, app: usize, work: Work, at_once: usize) -> Task {
        Task {
            url: url.to_owned(),
            name: name.to_owned(),
            kek: self.kek.clone(),
            place: self.places[app],
            work,
            at_once,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("vault.db")
    }

    /// Moves everything to an empty PostgreSQL database.
    pub async fn move_to(&self, url: &str) -> Result<()> {
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let options = PostgresOptions::of("bench-1".parse()?);
        let mut source = SqliteSource::at(self.file());
        let mut target = PostgresTarget::at(&url.parse()?, Arc::new(tls), options)?;
        let entry = |_: &Transferred| AuditDraft::new(&Caller::operator(), "bench.moved");
        let go_on = |_: &TransferProgress| ControlFlow::Continue(());
        transfer(&mut source, &mut target, entry, go_on).await?;
        Ok(())
    }

    pub async fn open(&self, url: &str, host: &str) -> Result<Platform> {
        Platform::open(self.places[0], url, host, &self.kek).await
    }

    /// Moves all secrets at `url` to another KEK. Returns secrets per second.
    pub async fn rewrap(&self, url: &str) -> Result<f64> {
        let new = LocalKek::make_text();
        let vaults = open(url, "bench-1", &new, Some(&self.kek)).await?;
        let go_on = |_: &_| ControlFlow::Continue(());
        let done = vaults
            .rewrap(&Caller::operator(), RewrapOptions::default(), go_on)
            .await?;
        assert_eq!(done.progress.unreadable, 0);
        vaults.close().await?;
        Ok(done.progress.moved as f64 / done.elapsed.as_secs_f64())
    }
}

impl Platform {
    /// Opens the database of a place.
    pub async fn open(place: Place, url: &str, host: &str, kek: &str) -> Result<Self> {
        Ok(Self {
            vaults: open(url, host, kek, None).await?,
            app: place.app,
            vault: place.vault,
        })
    }

    /// Repeats the work in concurrent tasks. Returns the time of each repetition.
    pub async fn work(
        &self,
        work: Work,
        at_once: usize,
        window: Duration,
    ) -> Result<Vec<Duration>> {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..at_once {
            let (vaults, app, vault) = (self.vaults.clone(), self.app, self.vault);
            tasks.spawn(async move {
                let context = ReleaseContext::new(app, "bench", "sha256:00");
                let mut laps = Vec::new();
                while begun.elapsed() < window {
                    let lap = Instant::now();
                    match work {
                        Work::Release => drop(vaults.release(&context, &name(0)?).await?),
                        Work::Put => put(&vaults, app, vault, task).await?,
                    }
                    laps.push(lap.elapsed());
                }
                anyhow::Ok(laps)
            });
        }
        let mut laps = Vec::new();
        while let Some(task) = tasks.join_next().await {
            laps.extend(task??);
        }
        Ok(laps)
    }

    pub async fn fill_up_to(&self, secrets: usize) -> Result<()> {
        fill(&self.vaults, self.app, self.vault, secrets).await
    }
}

async fn open(url: &str, host: &str, kek: &str, previous: Option<&str>) -> Result<SecretVaults> {
    let config = PostgresConfig {
        host_name: Some(host.parse()?),
        ..PostgresConfig::default()
    };
    let store = storage::open(url.parse()?, None, &config, None).await?;
    let keyring = Keyring::local(kek, previous)?;
    Ok(SecretVaults::open(store, Some(keyring)).await?)
}

async fn fill_app(vaults: &SecretVaults, name: &str, secrets: usize) -> Result<Place> {
    let caller = Caller::operator();
    let app = vaults
        .create_app(&caller, name.parse()?, None, None)
        .await?;
    let vault = vaults
        .create_vault(&caller, app.id, "main".parse()?, Metadata::default())
        .await?;
    vaults.designate(&caller, app.id, Some(vault.id)).await?;
    fill(vaults, app.id, vault.id, secrets).await?;
    Ok(Place {
        app: app.id,
        vault: vault.id,
    })
}

async fn fill(vaults: &SecretVaults, app: AppId, vault: VaultId, secrets: usize) -> Result<()> {
    for secret in 0..secrets {
        put(vaults, app, vault, secret).await?;
    }
    Ok(())
}

async fn put(vaults: &SecretVaults, app: AppId, vault: VaultId, secret: usize) -> Result<()> {
    let value = SecretValue::new("v".repeat(64))?;
    vaults
        .put_secret(&Caller::operator(), app, vault, &name(secret)?, &value)
        .await?;
    Ok(())
}

fn name(secret: usize) -> Result<SecretName> {
    Ok(format!("SECRET_{secret}").parse()?)
}
