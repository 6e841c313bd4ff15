//! How fast the vault is, against the floors that its budgets are multiples of.
//!
//! Prints one JSON object a line: `{"name", "value", "unit"}`, and `"budget"` with `"met"` where there is one. Every
//! ratio is of numbers from this run. `--quick` measures shorter, `--long` fills the large database of the growth row.
//! It asserts nothing.

use std::{
    env,
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::Runtime;
use vault_core::{
    App, AppId, Caller, Keyring, LocalKek, Metadata, ReleaseContext, SecretBinding, SecretName,
    SecretValue, SecretVaults, SqliteOptions, SqliteStore, VaultId, VaultView, aead::Aead,
    envelope,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let flag = |name: &str| env::args().any(|argument| argument == name);
    let bench = Bench {
        runtime: Runtime::new()?,
        window: Duration::from_millis(if flag("--quick") { 300 } else { 2000 }),
        long: flag("--long"),
    };
    bench.envelope()?;
    bench.releases()?;
    bench.puts()?;
    bench.list()?;
    bench.growth()
}

struct Bench {
    runtime: Runtime,
    /// How long each thing is measured.
    window: Duration,
    long: bool,
}

/// A database with one app, one designated vault and one secret.
struct Platform {
    vaults: SecretVaults,
    app: App,
    vault: VaultView,
    name: SecretName,
    folder: tempfile::TempDir,
}

impl Bench {
    /// `open` against `gcm2`: two opens with the cipher in use, of 32 and 64 bytes, keys expanded as an open must.
    fn envelope(&self) -> Result<(), Failure> {
        let (kek_aead, key, nonce, data) = (Aead::new(&[1; 32]), [2; 32], [3; 12], [4; 130]);
        let (mut dek, mut value) = ([5; 32], [6; 64]);
        let dek_tag = kek_aead.seal(&nonce, &data, &mut dek);
        let value_tag = Aead::new(&key).seal(&nonce, &data, &mut value);
        let gcm2_cached = self.nanoseconds(|| {
            let (mut dek, mut value) = (black_box(dek), black_box(value));
            kek_aead
                .open(&nonce, &data, &mut dek, &dek_tag)
                .expect("sealed above");
            kek_aead
                .open(&nonce, &data, &mut value, &value_tag)
                .is_err()
        });
        let gcm2 = self.nanoseconds(|| {
            let (mut dek, mut value) = (black_box(dek), black_box(value));
            Aead::new(black_box(&[1; 32]))
                .open(&nonce, &data, &mut dek, &dek_tag)
                .expect("sealed above");
            Aead::new(black_box(&key))
                .open(&nonce, &data, &mut value, &value_tag)
                .is_err()
        });
        let keyring = Keyring::local(&LocalKek::make_text(), None)?;
        let (app_id, vault_id, name) = (AppId::make(), VaultId::make(), "BRAVE_API_KEY".parse()?);
        let binding = SecretBinding {
            app_id,
            vault_id,
            name,
            version: 1,
        };
        let value = SecretValue::new("v".repeat(64))?;
        let open = self.runtime.block_on(async {
            let sealed = envelope::seal(keyring.primary(), binding, &value).await?;
            let mut times = Timing::new(self.window);
            while times.goes_on() {
                for _ in 0..100 {
                    black_box(envelope::open(&keyring, black_box(&sealed)).await?);
                }
                times.lap(100);
            }
            Ok::<_, Failure>(times.best())
        })?;
        report("gcm2 (keys expanded anew)", gcm2, "ns");
        report("gcm2 (one key, kept expanded)", gcm2_cached, "ns");
        report("open, 64-byte secret", open, "ns");
        at_most("open / gcm2 (keys expanded anew)", open / gcm2, 2.0);
        report(
            "open / gcm2 (one key, kept expanded)",
            open / gcm2_cached,
            "×",
        );
        Ok(())
    }

    /// A first release with its audit entry, against one durable commit of one row.
    fn releases(&self) -> Result<(), Failure> {
        let (commit, commits) = self.row_commits()?;
        report("one durable commit of one row, p50", commit, "µs");
        let platform = self.platform()?;
        let one = self.concurrently(1, &platform, release);
        report("first release with audit commit, p50", one.p50_us, "µs");
        at_most("first release / one commit", one.p50_us / commit, 1.5);
        let many = self.concurrently(64, &platform, release);
        report("first releases, 64 concurrent", many.per_second, "/s");
        report("the same, p99", many.p99_us, "µs");
        at_least(
            "64 concurrent releases / one commit each",
            many.per_second / commits,
            20.0,
        );
        let sealed = self
            .runtime
            .block_on(platform.vaults.release(&context(&platform), &platform.name))?
            .sealed;
        let reopen = self.runtime.block_on(async {
            let mut times = Timing::new(self.window);
            while times.goes_on() {
                for _ in 0..100 {
                    black_box(platform.vaults.reopen(black_box(&sealed)).await?);
                }
                times.lap(100);
            }
            Ok::<_, Failure>(times.best())
        })?;
        report("reopen within a call", reopen, "ns");
        self.runtime.block_on(platform.vaults.close())?;
        Ok(())
    }

    /// Durable puts of 32 writers, against one writer that waits for each.
    fn puts(&self) -> Result<(), Failure> {
        let platform = self.platform()?;
        let one = self.concurrently(1, &platform, put);
        report("put secret, one commit per request", one.per_second, "/s");
        let many = self.concurrently(32, &platform, put);
        report("put secret, 32 writers", many.per_second, "/s");
        at_least(
            "32 writers / one commit per request",
            many.per_second / one.per_second,
            5.0,
        );
        self.runtime.block_on(platform.vaults.close())?;
        Ok(())
    }

    fn list(&self) -> Result<(), Failure> {
        let platform = Arc::new(self.platform()?);
        self.fill(&platform.vaults, &platform.app, &platform.vault, 0..999)?;
        let list = self.runtime.block_on(async {
            let mut times = Timing::new(self.window);
            while times.goes_on() {
                let listed = platform
                    .vaults
                    .secrets(platform.app.id, platform.vault.id)
                    .await?;
                assert_eq!(listed.len(), 1000);
                times.lap(1);
            }
            Ok::<_, Failure>(times.median() / 1e6)
        })?;
        at_most_of("list of 1,000 secrets, p50", list, 10.0, "ms");
        self.runtime.block_on(platform.vaults.close())?;
        Ok(())
    }

    /// A release from many secrets in many apps, against few in few.
    fn growth(&self) -> Result<(), Failure> {
        let small = self.filled(100, 10)?;
        let (apps, secrets) = if self.long { (100_000, 10) } else { (2000, 10) };
        let large = self.filled(apps, secrets)?;
        // Alternately, so that both see the same machine.
        let (mut few, mut many) = (f64::MAX, f64::MAX);
        for _ in 0..3 {
            few = few.min(self.concurrently(1, &small, release).p50_us);
            many = many.min(self.concurrently(1, &large, release).p50_us);
        }
        report("release, 1,000 secrets in 100 apps, p50", few, "µs");
        report(
            &format!("release, {} secrets in {apps} apps, p50", apps * secrets),
            many,
            "µs",
        );
        at_most("release from many / from few", many / few, 1.3);
        for platform in [small, large] {
            self.runtime.block_on(platform.vaults.close())?;
        }
        Ok(())
    }

    /// Nanoseconds for one call, the best of many batches.
    fn nanoseconds<T>(&self, mut call: impl FnMut() -> T) -> f64 {
        let mut times = Timing::new(self.window);
        while times.goes_on() {
            for _ in 0..100 {
                black_box(call());
            }
            times.lap(100);
        }
        times.best()
    }

    /// What a row of the size of an audit entry costs with the same durability, one commit each: median and rate.
    fn row_commits(&self) -> Result<(f64, f64), Failure> {
        let folder = folder()?;
        let connection = Connection::open(folder.path().join("floor.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             CREATE TABLE entries (seq INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT",
        )?;
        let mut insert =
            connection.prepare("INSERT INTO entries (content) VALUES (zeroblob(400))")?;
        let mut times = Timing::new(self.window);
        while times.goes_on() {
            insert.execute([])?;
            times.lap(1);
        }
        Ok((times.median() / 1e3, times.rate()))
    }

    fn platform(&self) -> Result<Platform, Failure> {
        let folder = folder()?;
        self.runtime.block_on(async {
            let store =
                SqliteStore::open(folder.path().join("vault.db"), SqliteOptions::default())?;
            let keyring = Keyring::local(&LocalKek::make_text(), None)?;
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
                folder,
            })
        })
    }

    /// A platform with `apps` apps of `secrets` secrets each, written many at once.
    fn filled(&self, apps: usize, secrets: usize) -> Result<Platform, Failure> {
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

    fn fill(
        &self,
        vaults: &SecretVaults,
        app: &App,
        vault: &VaultView,
        secrets: std::ops::Range<usize>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            for secret in secrets {
                put_numbered(vaults, app, vault, secret).await?;
            }
            Ok(())
        })
    }

    /// Runs `work` over and over in `tasks` tasks at once.
    fn concurrently<F>(&self, tasks: usize, platform: &Platform, work: fn(Call) -> F) -> Rate
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (window, begun) = (self.window, Instant::now());
        let spawn = |task| {
            let call = Call {
                vaults: platform.vaults.clone(),
                context: context(platform),
                vault_id: platform.vault.id,
                name: platform.name.clone(),
                task,
            };
            self.runtime.spawn(async move {
                let mut laps = Vec::new();
                while begun.elapsed() < window {
                    let lap = Instant::now();
                    work(call.clone())
                        .await
                        .expect("the database works while it is measured");
                    laps.push(lap.elapsed());
                }
                laps
            })
        };
        let running: Vec<_> = (0..tasks).map(spawn).collect();
        let mut laps: Vec<Duration> = Vec::new();
        for task in running {
            laps.extend(
                self.runtime
                    .block_on(task)
                    .expect("the task above does not panic"),
            );
        }
        let per_second = laps.len() as f64 / begun.elapsed().as_secs_f64();
        laps.sort_unstable();
        let at = |percent: usize| laps[(laps.len() - 1) * percent / 100].as_secs_f64() * 1e6;
        Rate {
            p50_us: at(50),
            p99_us: at(99),
            per_second,
        }
    }
}

#[derive(Clone)]
struct Call {
    vaults: SecretVaults,
    context: ReleaseContext,
    vault_id: VaultId,
    name: SecretName,
    task: usize,
}

struct Rate {
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
}

/// The time of each lap, for a while.
struct Timing {
    until: Instant,
    begun: Instant,
    last: Instant,
    laps_ns: Vec<f64>,
}

impl Timing {
    fn new(window: Duration) -> Self {
        let now = Instant::now();
        Self {
            until: now + window,
            begun: now,
            last: now,
            laps_ns: Vec::new(),
        }
    }

    fn goes_on(&self) -> bool {
        self.last < self.until
    }

    /// Ends a lap of `calls` calls.
    fn lap(&mut self, calls: u32) {
        let now = Instant::now();
        self.laps_ns
            .push((now - self.last).as_nanos() as f64 / f64::from(calls));
        self.last = now;
    }

    fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// What it costs when nothing interferes.
    fn best(&self) -> f64 {
        self.percentile(10)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut laps = self.laps_ns.clone();
        laps.sort_by(f64::total_cmp);
        laps[(laps.len() - 1) * percent / 100]
    }

    fn rate(&self) -> f64 {
        self.laps_ns.len() as f64 / (self.last - self.begun).as_secs_f64()
    }
}

async fn release(call: Call) -> Result<(), Failure> {
    black_box(call.vaults.release(&call.context, &call.name).await?);
    Ok(())
}

async fn put(call: Call) -> Result<(), Failure> {
    put_in(&call.vaults, call.context.app_id, call.vault_id, call.task).await
}

async fn put_numbered(
    vaults: &SecretVaults,
    app: &App,
    vault: &VaultView,
    secret: usize,
) -> Result<(), Failure> {
    put_in(vaults, app.id, vault.id, secret).await
}

async fn put_in(
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

fn context(platform: &Platform) -> ReleaseContext {
    ReleaseContext::new(platform.app.id, "bench", "sha256:00")
}

/// A folder on the disk of the build, because a temporary folder may be in memory, where durability costs nothing.
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

fn report(name: &str, value: f64, unit: &str) {
    println!("{}", json!({ "name": name, "value": value, "unit": unit }));
}

fn at_most(name: &str, value: f64, budget: f64) {
    at_most_of(name, value, budget, "×");
}

fn at_most_of(name: &str, value: f64, budget: f64, unit: &str) {
    let budget_text = format!("≤ {budget}");
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "budget": budget_text, "met": value <= budget })
    );
}

fn at_least(name: &str, value: f64, budget: f64) {
    let budget_text = format!("≥ {budget}");
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": "×", "budget": budget_text, "met": value >= budget })
    );
}
