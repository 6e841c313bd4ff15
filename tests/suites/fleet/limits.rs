//! The limits of `[storage.postgres]`, and the retries that databases expect of their clients. Each
//! test sets a limit below its default and shows where it takes effect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tavora_host::storage::StorageError;
use tavora_tests::eventually::{PATIENCE, report, until};
use tavora_tests::fixture::operator;
use tavora_tests::postgres::{Database, Postgres};
use tavora_tests::relay::Relay;
use tokio_postgres::{Client, NoTls};
use vault_core::{
    App, AuditDraft, Caller, Keyring, LocalKek, Metadata, SecretValue, SecretVaults, Store,
    StoreError, VaultError, VaultView,
};

/// An app with a vault, on a store with these settings.
struct Platform {
    vaults: SecretVaults,
    app: App,
    vault: VaultView,
}

impl Platform {
    async fn on(postgres: &Postgres, database: &Database, settings: &str) -> Self {
        let settings = format!("host_name = \"one\"\n{settings}");
        let store = database.store_with(postgres.address, &settings).await;
        let keyring = Keyring::local(&LocalKek::make_text(), None).unwrap();
        let vaults = SecretVaults::open(Arc::new(store.unwrap()), Some(keyring))
            .await
            .unwrap();
        let app = vaults
            .create_app(&operator(), "app".parse().unwrap(), None, None)
            .await
            .unwrap();
        let name = "main".parse().unwrap();
        let vault = vaults
            .create_vault(&operator(), app.id, name, Metadata::default())
            .await
            .unwrap();
        Self { vaults, app, vault }
    }

    async fn put(&self, name: &str) -> Result<(), VaultError> {
        let (name, value) = (name.parse().unwrap(), SecretValue::new("v".to_owned()));
        let (app, vault) = (self.app.id, self.vault.id);
        self.vaults
            .put_secret(&operator(), app, vault, &name, &value.unwrap())
            .await
            .map(drop)
    }
}

/// Connects to the database as another client.
async fn beside(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn store_error(refused: Result<(), VaultError>) -> StoreError {
    match refused {
        Err(VaultError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn entry() -> AuditDraft {
    AuditDraft::new(&Caller::host(), "test.happened")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_waits_for_others_as_long_as_it_may() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let platform = Platform::on(postgres, &database, "statement_timeout_ms = 2_000").await;
    let other = beside(&database).await;
    other
        .batch_execute("BEGIN; LOCK TABLE secrets")
        .await
        .unwrap();
    let begun = Instant::now();
    let refused = store_error(platform.put("A").await);
    assert!(matches!(refused, StoreError::Busy), "{refused}");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(2_000), "{waited:?}");
    other.batch_execute("ROLLBACK").await.unwrap();
    platform.put("A").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_falls_silent_ends() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let _one = Platform::on(postgres, &database, "idle_transaction_timeout_ms = 3_000").await;
    // Count connections with the settings of the store, and nobody else's.
    let told = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tavora-host' AND datname = '{name}'";
    let told = told.replace("{name}", &database.name);
    assert_ne!(postgres.query(&told), "0");
    let relay = Relay::start(postgres.address);
    let settings =
        "host_name = \"two\"\nidle_transaction_timeout_ms = 3_000\noperation_timeout_ms = 2_000";
    let two = database.store_with(relay.address, settings).await.unwrap();
    two.append(entry()).await.unwrap();
    // The server has begun a transaction, and receives no more of it.
    relay.withhold_answers();
    let refused = two.append(entry()).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::TimedOut { limit_ms: 2_000 }),
        "{refused}"
    );
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    until("ends", async || postgres.query(idle) == "0").await;
    relay.reset();
    relay.pass();
    two.append(entry()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_takes_longer_than_it_may() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let relay = Relay::start(postgres.address);
    let settings =
        "operation_timeout_ms = 2_000\nverify_timeout_ms = 3_000\nconnect_timeout_ms = 2_500";
    let store = Arc::new(database.store_with(relay.address, settings).await.unwrap());
    let vaults = SecretVaults::open(store.clone(), None).await.unwrap();
    store.append(entry()).await.unwrap();
    relay.keep_silent();
    let check = async {
        vaults
            .audit_verify(None)
            .await
            .map_err(|error| match error {
                VaultError::Store(error) => error,
                other => panic!("{other}"),
            })
    };
    for (what, limit_ms, outcome) in [
        (
            "a read",
            2_000,
            timed(store.audit_page(Default::default())).await,
        ),
        ("a write", 2_000, timed(store.append(entry())).await),
        ("a check", 3_000, timed(check).await),
    ] {
        let (took, error) = outcome;
        assert!(
            matches!(error, Some(StoreError::TimedOut { limit_ms: limit }) if limit == limit_ms)
                || matches!(error, Some(StoreError::Unreachable { .. })),
            "{what}: {error:?}"
        );
        report(&format!("{what} that may take {limit_ms} ms"), took);
        assert!(took < PATIENCE, "{what}: {took:?}");
    }
    store.close().await.unwrap();
    let begun = Instant::now();
    let refused = database.store_with(relay.address, settings).await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(
            &refused,
            StorageError::Postgres {
                source: StoreError::Unreachable { .. },
                ..
            }
        ),
        "{refused:?}"
    );
    report("connecting, which may take 2500 ms", begun.elapsed());
    assert!(begun.elapsed() < PATIENCE);
}

async fn timed<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> (Duration, Option<StoreError>) {
    let begun = Instant::now();
    let error = work.await.err();
    (begun.elapsed(), error)
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_connections_than_may_be() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let store = database
        .store_with(postgres.address, "max_connections = 3")
        .await;
    let store = Arc::new(store.unwrap());
    let reads: Vec<_> = (0..200)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.audit_page(Default::default()).await.unwrap();
                store.append(entry()).await.unwrap();
            })
        })
        .collect();
    for read in reads {
        read.await.unwrap();
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tavora-host' AND datname = ";
    assert_eq!(postgres.query(&format!("{count}'{}'", database.name)), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_undoes_is_done_again_as_often_as_may_be() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let platform = Platform::on(postgres, &database, "max_attempts = 4").await;
    // A sequence keeps its count when the transaction is undone.
    let refuse = |code: &str, times: u32| {
        format!(
            "CREATE SEQUENCE IF NOT EXISTS attempts; ALTER SEQUENCE attempts RESTART;
            GRANT ALL ON SEQUENCE attempts TO PUBLIC;
            CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('attempts') <= {times} THEN RAISE SQLSTATE '{code}'; END IF; RETURN NEW; END $$;
            CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON secrets FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    };
    let attempts = || database.query("SELECT last_value FROM attempts");
    for code in ["40001", "40P01"] {
        database.query(&refuse(code, 3));
        platform.put(&format!("A_{code}")).await.unwrap();
        assert_eq!(attempts(), "4", "{code}");
        database.query(&refuse(code, 4));
        let refused = store_error(platform.put(&format!("B_{code}")).await);
        assert!(matches!(refused, StoreError::Conflict), "{refused}");
        assert_eq!(attempts(), "4", "{code}");
    }
    database.query("DROP TRIGGER refuse ON secrets");
    platform.put("C").await.unwrap();
    let report = platform.vaults.audit_verify(None).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    let put = "SELECT count(*) FROM audit WHERE action = 'secret.put'";
    assert_eq!(database.query(put), "3");
}

/// Two transactions wait for each other, and the database ends one of them. If that is the store's,
/// the store repeats it, and no caller gets an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_nobodys_error() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let platform = Platform::on(postgres, &database, "").await;
    platform.put("A").await.unwrap();
    let other = beside(&database).await;
    let own = "BEGIN; UPDATE secrets SET place = place WHERE name = 'A'";
    other.batch_execute(own).await.unwrap();
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let (put, chain) = tokio::join!(platform.put("A"), async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        until("has the store waiting", async || {
            database.query(waiting) != "0"
        })
        .await;
        let chain = "SELECT 1 FROM chains WHERE name = 'one' FOR UPDATE; COMMIT";
        other.batch_execute(chain).await
    });
    put.unwrap();
    // The store waited first, so it found the deadlock.
    chain.unwrap();
    until("has a deadlock", async || database.query(deadlocks) != "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_no_more_writes_than_it_may() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    for (max, least_commits) in [(1, 60), (20, 3)] {
        let database = postgres.database();
        let settings = format!("max_writes_per_commit = {max}");
        let store = database.store_with(postgres.address, &settings).await;
        let store = Arc::new(store.unwrap());
        futures::future::join_all((0..60).map(|_| store.append(entry())))
            .await
            .into_iter()
            .for_each(|appended| drop(appended.unwrap()));
        let stats = store.stats();
        assert_eq!(stats.writes, 60);
        assert!(stats.commits >= least_commits, "{stats:?}");
        assert!(max == 1 || stats.commits < 60, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_writes_wait_than_may() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let settings = "max_waiting_writes = 5\nmax_writes_per_commit = 1";
    let store = database
        .store_with(postgres.address, settings)
        .await
        .unwrap();
    let other = beside(&database).await;
    let chain = "BEGIN; SELECT 1 FROM chains FOR UPDATE";
    other.batch_execute(chain).await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (outcomes, ()) = tokio::join!(
        futures::future::join_all((0..40).map(|_| store.append(entry()))),
        release
    );
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(done.len() >= 5 && done.len() <= 7, "{}", done.len());
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert!(
            matches!(refusal, StoreError::Overloaded { queue_max_jobs: 5 }),
            "{refusal}"
        );
    }
    assert_eq!(
        store.audit_page(Default::default()).await.unwrap().total,
        done.len() as u64
    );
}
