//! Benchmarks of the vault, measured against floors. A budget is a multiple of a floor.
//!
//! The program prints one JSON object a line: `{"name", "value", "unit"}`. A line with a budget
//! also has `"budget"` and `"met"`. Every ratio compares numbers of this run. `--quick` measures
//! for a shorter time. `--long` fills large databases for the rows about growth and rewraps.
//! Nothing is asserted.

mod bench;
mod measure;
mod platform;
mod rewrap;

use std::{
    env,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use vault_core::{
    AppId, Keyring, LocalKek, ReleaseContext, SecretBinding, SecretName, SecretValue, SecretVaults,
    VaultId, aead::Aead, envelope,
};

use self::bench::{Bench, Failure};
use self::measure::{Floor, Rate, Timing, at_least, at_most, at_most_of, median, report};
use self::platform::{Platform, put_in};

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
    bench.growth()?;
    bench.rewrap()
}

impl Bench {
    /// Compares `open` with `gcm2`, the floor for opening. `gcm2` decrypts 32 and 64 bytes with the
    /// same cipher and expands both keys anew, as an open must.
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

    /// Compares a first release and its audit entry with one durable commit of one row.
    fn releases(&self) -> Result<(), Failure> {
        let platform = self.platform()?;
        let commit_floor = Floor::new(platform.folder.path())?;
        let call = Call::new(&platform, 0);
        // Alternate the two, so that both see the same state of the disk.
        let (commit, one, ratio) = self.alternately(
            async || commit_floor.commit(),
            async || release(call.clone()).await,
        )?;
        report("one durable commit of one row, p50", commit.p50_us, "µs");
        report("first release with audit commit, p50", one.p50_us, "µs");
        at_most("first release / one commit", ratio, 1.5);
        let (_, many, ratio) = self.in_turns(
            |window| commit_floor.commits(window),
            |window| self.concurrently(64, window, &platform, release),
        )?;
        report("first releases, 64 concurrent", many.per_second, "/s");
        report("the same, p99", many.p99_us, "µs");
        at_least("64 concurrent releases / one commit each", ratio, 20.0);
        let sealed = self
            .runtime
            .block_on(
                platform
                    .vaults
                    .release(&Call::new(&platform, 0).context, &platform.name),
            )?
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

    /// Compares durable puts of 32 writers with one writer that waits for each put.
    fn puts(&self) -> Result<(), Failure> {
        let platform = self.platform()?;
        let (one, many, ratio) = self.in_turns(
            |window| self.concurrently(1, window, &platform, put),
            |window| self.concurrently(32, window, &platform, put),
        )?;
        report("put secret, one commit per request", one.per_second, "/s");
        report("put secret, 32 writers", many.per_second, "/s");
        at_least("32 writers / one commit per request", ratio, 5.0);
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

    /// Compares a release from a large database with one from a small database.
    fn growth(&self) -> Result<(), Failure> {
        let small = self.filled(100, 10)?;
        let (apps, secrets) = if self.long { (100_000, 10) } else { (2000, 10) };
        let large = self.filled(apps, secrets)?;
        let (few, many) = (Call::new(&small, 0), Call::new(&large, 0));
        let (few, many, ratio) = self.alternately(
            async || release(few.clone()).await,
            async || release(many.clone()).await,
        )?;
        report("release, 1,000 secrets in 100 apps, p50", few.p50_us, "µs");
        report(
            &format!("release, {} secrets in {apps} apps, p50", apps * secrets),
            many.p50_us,
            "µs",
        );
        at_most("release from many / from few", ratio, 1.3);
        for platform in [small, large] {
            self.runtime.block_on(platform.vaults.close())?;
        }
        Ok(())
    }

    /// The time of one call in nanoseconds, from the fastest of many batches.
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

    /// Runs two things in turns and times each. The ratio is the median of the ratios of
    /// neighbours, because the speed of a disk changes over time.
    fn alternately(
        &self,
        mut one: impl AsyncFnMut() -> Result<(), Failure>,
        mut other: impl AsyncFnMut() -> Result<(), Failure>,
    ) -> Result<(Rate, Rate, f64), Failure> {
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        self.runtime.block_on(async {
            while begun.elapsed() < 2 * self.window {
                let lap = Instant::now();
                one().await?;
                ones.push(lap.elapsed());
                let lap = Instant::now();
                other().await?;
                others.push(lap.elapsed());
            }
            Ok::<_, Failure>(())
        })?;
        let rate = |laps: Vec<Duration>| {
            let total: Duration = laps.iter().sum();
            Rate::of(laps, total)
        };
        let ratios = ones
            .iter()
            .zip(&others)
            .map(|(one, other)| other.as_secs_f64() / one.as_secs_f64());
        let ratio = median(ratios.collect());
        Ok((rate(ones), rate(others), ratio))
    }

    /// Measures two rates in turns. The ratio is the median of the ratios of neighbours.
    fn in_turns(
        &self,
        one: impl Fn(Duration) -> Result<Rate, Failure>,
        other: impl Fn(Duration) -> Result<Rate, Failure>,
    ) -> Result<(Rate, Rate, f64), Failure> {
        const TURNS: u32 = 10;
        let (mut ones, mut others, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let (one, other) = (
                one(2 * self.window / TURNS)?,
                other(2 * self.window / TURNS)?,
            );
            ratios.push(other.per_second / one.per_second);
            ones.push(one);
            others.push(other);
        }
        Ok((Rate::median(ones), Rate::median(others), median(ratios)))
    }

    /// Repeats `work` in `tasks` concurrent tasks.
    fn concurrently<F>(
        &self,
        tasks: usize,
        window: Duration,
        platform: &Platform,
        work: fn(Call) -> F,
    ) -> Result<Rate, Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let begun = Instant::now();
        let spawn = |task| {
            let call = Call::new(platform, task);
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
        Ok(Rate::of(laps, begun.elapsed()))
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

impl Call {
    fn new(platform: &Platform, task: usize) -> Self {
        Self {
            vaults: platform.vaults.clone(),
            context: ReleaseContext::new(platform.app.id, "bench", "sha256:00"),
            vault_id: platform.vault.id,
            name: platform.name.clone(),
            task,
        }
    }
}

async fn release(call: Call) -> Result<(), Failure> {
    black_box(call.vaults.release(&call.context, &call.name).await?);
    Ok(())
}

async fn put(call: Call) -> Result<(), Failure> {
    put_in(&call.vaults, call.context.app_id, call.vault_id, call.task).await
}
