//! Two hosts that move secrets to a new KEK at the same time share the work.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use tavora_tests::measure::milliseconds;
use tavora_tests::postgres::{Database, Postgres};
use vault_core::{
    AppId, Caller, Keyring, LocalKek, Metadata, RewrapOptions, RewrapOutcome, RewrapProgress,
    RewrapReport, SecretValue, SecretVaults, VaultId,
};

/// Enough secrets for a few dozen stretches of a route.
const SECRETS: u64 = 6_000;

/// The number of concurrent writers.
const WRITERS: usize = 64;

fn go_on(_: &RewrapProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A database whose secrets one KEK wraps.
struct Filled {
    database: Database,
    keks: Vec<String>,
}

impl Filled {
    async fn new(postgres: &Postgres) -> Self {
        let filled = Self {
            database: postgres.database(),
            keks: vec![LocalKek::make_text().to_string()],
        };
        let vaults = filled.host("a").await;
        let (app, vault) = app_with_vault(&vaults).await;
        stream::iter(0..SECRETS)
            .for_each_concurrent(WRITERS, |number| put(&vaults, app, vault, number))
            .await;
        vaults.close().await.unwrap();
        filled
    }

    /// A host with the newest KEK first and all others after it.
    async fn host(&self, name: &str) -> SecretVaults {
        let store = self.database.store(name).await.unwrap();
        let (primary, previous) = self.keks.split_last().unwrap();
        let previous = previous.join(",");
        let previous = (!previous.is_empty()).then_some(previous.as_str());
        let keyring = Keyring::local(primary, previous).unwrap();
        let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await;
        vaults.unwrap()
    }

    /// Adds a new KEK and lets these hosts move everything to it. Returns the time, and the report
    /// of each.
    async fn rotate(&mut self, hosts: &[&str]) -> (Duration, Vec<RewrapReport>) {
        self.keks.push(LocalKek::make_text().to_string());
        let hosts = futures::future::join_all(hosts.iter().map(|name| self.host(name))).await;
        let begun = Instant::now();
        let walks = hosts.iter().cloned().map(|vaults| {
            tokio::spawn(async move {
                let options = RewrapOptions {
                    batch: 50.try_into().unwrap(),
                    ..RewrapOptions::default()
                };
                vaults.rewrap(&Caller::operator(), options, go_on).await
            })
        });
        let walked = futures::future::join_all(walks).await;
        let took = begun.elapsed();
        let reports: Vec<_> = walked.into_iter().map(|it| it.unwrap().unwrap()).collect();
        let verified = hosts[0].audit_verify(None).await.unwrap();
        assert!(verified.is_clean(), "{:?}", verified.findings);
        let tried = hosts[0].open_all(go_on).await.unwrap();
        assert_eq!((tried.seen, tried.unreadable), (SECRETS, 0));
        for vaults in hosts {
            vaults.close().await.unwrap();
        }
        (took, reports)
    }
}

async fn app_with_vault(vaults: &SecretVaults) -> (AppId, VaultId) {
    let (caller, name) = (Caller::operator(), "main".parse().unwrap());
    let app = vaults.create_app(&caller, "Shop".parse().unwrap(), None, None);
    let app = app.await.unwrap().id;
    let vault = vaults.create_vault(&caller, app, name, Metadata::default());
    (app, vault.await.unwrap().id)
}

async fn put(vaults: &SecretVaults, app: AppId, vault: VaultId, number: u64) {
    let name = format!("S{number}").parse().unwrap();
    let value = SecretValue::new(format!("value {number}")).unwrap();
    let caller = Caller::operator();
    let put = vaults.put_secret(&caller, app, vault, &name, &value).await;
    put.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_share_a_rewrap() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let mut filled = Filled::new(postgres).await;
    let (alone, reports) = filled.rotate(&["a"]).await;
    let progress = reports[0].progress;
    assert_eq!((progress.seen, progress.moved), (SECRETS, SECRETS));
    assert_eq!(progress.overtaken, 0);

    let (together, reports) = filled.rotate(&["a", "b"]).await;
    let each = |figure: fn(&RewrapProgress) -> u64| -> Vec<u64> {
        reports.iter().map(|it| figure(&it.progress)).collect()
    };
    let (moved, overtaken) = (each(|it| it.moved), each(|it| it.overtaken));
    eprintln!(
        "{SECRETS} secrets: one host {:.0} ms; two {:.0} ms, which moved {moved:?} and were overtaken {overtaken:?}",
        milliseconds(alone),
        milliseconds(together),
    );
    for report in &reports {
        assert_eq!(report.outcome, RewrapOutcome::Complete, "{report:?}");
        assert!(report.progress.seen <= report.progress.total, "{report:?}");
    }
    assert_eq!(moved.iter().sum::<u64>(), SECRETS, "each was moved once");
    assert!(moved.iter().all(|it| *it >= SECRETS / 10), "{moved:?}");
    let overtaken: u64 = overtaken.iter().sum();
    assert!(overtaken <= SECRETS / 10, "{overtaken}");
}
