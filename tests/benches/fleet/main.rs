//! PostgreSQL beside SQLite, with few secrets and with many, and two hosts on one database beside
//! one host.
//!
//! The program prints the lines of `measure`. Each database has the same rows: a SQLite file is
//! filled, and its content is moved. `--quick` measures for a shorter time, and `--long` fills a
//! million secrets. Without an installed PostgreSQL it says so and measures nothing. Each host is a
//! process: this program, started once more.

mod host;
mod platform;
mod task;

use std::process::exit;
use std::time::{Duration, Instant};

use anyhow::Result;
use tavora_tests::measure::{median, megabytes, milliseconds, percentile, report};
use tavora_tests::postgres::{Database, Postgres};
use tokio::runtime::Runtime;

use self::host::Host;
use self::platform::{Filled, Platform};
use self::task::Work;

/// The number of concurrent releases, and of concurrent puts, in a host.
const RELEASES: usize = 64;
const PUTS: usize = 32;

/// The number of measurements of one host and of two hosts.
const TURNS: u32 = 5;

fn main() -> Result<()> {
    if host::serve_if_told_to()? {
        return Ok(());
    }
    let Some(postgres) = Postgres::start() else {
        eprintln!("there is no PostgreSQL: nothing of it is measured");
        exit(0);
    };
    let flag = |name: &str| std::env::args().any(|argument| argument == name);
    let bench = Bench {
        runtime: Runtime::new()?,
        postgres,
        window: Duration::from_millis(if flag("--quick") { 500 } else { 3_000 }),
    };
    bench.with(100, 10)?;
    match (flag("--long"), flag("--quick")) {
        (true, _) => bench.with(100_000, 10),
        (false, false) => bench.with(2_000, 10),
        (false, true) => Ok(()),
    }
}

struct Bench {
    runtime: Runtime,
    postgres: Postgres,
    /// The length of one measurement.
    window: Duration,
}

impl Bench {
    /// Measures everything with `apps` apps of `secrets` secrets each.
    fn with(&self, apps: usize, secrets: usize) -> Result<()> {
        let count = apps * secrets;
        let begun = Instant::now();
        let filled = self.runtime.block_on(Filled::new(apps, secrets))?;
        eprintln!(
            "filled SQLite with {count} secrets in {:.1?}",
            begun.elapsed()
        );
        let database = self.postgres.database();
        let begun = Instant::now();
        self.runtime.block_on(filled.move_to(&database.url()))?;
        report(
            &format!("move to PostgreSQL, {count} secrets with their audit"),
            begun.elapsed().as_secs_f64(),
            "s",
        );
        // In a database that is in use for longer, autovacuum does this.
        database.query("VACUUM ANALYZE");

        let urls = [("SQLite", filled.url()), ("PostgreSQL", database.url())];
        for (store, url) in &urls {
            let of = |what: &str| format!("{store}, {count} secrets: {what}");
            let platform = self.runtime.block_on(filled.open(url, "bench-1"))?;
            self.releases(
                &platform,
                &of,
                (*store == "PostgreSQL").then_some(&database),
            )?;
            self.puts(
                &platform,
                &of,
                (*store == "PostgreSQL").then_some(&database),
            )?;
            self.list(&platform, &of)?;
            self.runtime.block_on(platform.vaults.close())?;
        }
        let of = |what: &str| format!("PostgreSQL, {count} secrets: {what}");
        self.hosts(&filled, &database, &of)?;
        for (store, url) in &urls {
            let rate = self.runtime.block_on(filled.rewrap(url))?;
            report(&format!("{store}, {count} secrets: rewrap"), rate, "/s");
        }
        let bytes = database.query("SELECT pg_database_size(current_database())");
        report(&of("size of the database"), megabytes(bytes.parse()?), "MB");
        Ok(())
    }

    fn releases(
        &self,
        platform: &Platform,
        of: &dyn Fn(&str) -> String,
        database: Option<&Database>,
    ) -> Result<()> {
        let alone = self.run(platform, Work::Release, 1, database)?;
        report(&of("first release, p50"), milliseconds(alone.p50), "ms");
        let many = self.run(platform, Work::Release, RELEASES, database)?;
        let what = format!("first releases, {RELEASES} concurrent");
        report(&of(&what), many.per_second, "/s");
        report(&of(&format!("{what}, p99")), milliseconds(many.p99), "ms");
        report(&of(&format!("{what}, in a transaction")), many.grouped, "");
        for (what, run) in [("alone", &alone), (&*format!("of {RELEASES}"), &many)] {
            if let Some(bytes) = run.wal_bytes {
                report(&of(&format!("WAL of a release {what}")), bytes, "B");
            }
        }
        Ok(())
    }

    fn puts(
        &self,
        platform: &Platform,
        of: &dyn Fn(&str) -> String,
        database: Option<&Database>,
    ) -> Result<()> {
        let puts = self.run(platform, Work::Put, PUTS, database)?;
        let what = format!("put secret, {PUTS} writers");
        report(&of(&what), puts.per_second, "/s");
        report(&of(&format!("{what}, p99")), milliseconds(puts.p99), "ms");
        report(&of(&format!("{what}, in a transaction")), puts.grouped, "");
        if let Some(bytes) = puts.wal_bytes {
            report(&of("WAL of a put"), bytes, "B");
        }
        Ok(())
    }

    fn list(&self, platform: &Platform, of: &dyn Fn(&str) -> String) -> Result<()> {
        let mut laps = self.runtime.block_on(async {
            platform.fill_up_to(1_000).await?;
            let (begun, mut laps) = (Instant::now(), Vec::new());
            while begun.elapsed() < self.window {
                let lap = Instant::now();
                let listed = platform
                    .vaults
                    .secrets(platform.app, platform.vault)
                    .await?;
                assert!(listed.len() >= 1_000);
                laps.push(lap.elapsed());
            }
            anyhow::Ok(laps)
        })?;
        let p50 = milliseconds(percentile(&mut laps, 50));
        report(&of("list of 1,000 secrets, p50"), p50, "ms");
        Ok(())
    }

    /// Measures one host and two hosts on one database, at the same app and at an app each.
    fn hosts(
        &self,
        filled: &Filled,
        database: &Database,
        of: &dyn Fn(&str) -> String,
    ) -> Result<()> {
        for (work, at_once, what) in [
            (Work::Release, RELEASES, "first releases"),
            (Work::Put, PUTS, "put secret"),
        ] {
            let fleets: [(&[usize], _); 3] = [
                (&[0], "one host"),
                (&[0, 0], "two hosts, the same app"),
                (&[0, 1], "two hosts, an app each"),
            ];
            let mut rates = fleets.map(|_| Vec::new());
            // In turns, because the speed of a disk changes over time.
            for _ in 0..TURNS {
                for ((apps, _), rates) in fleets.iter().zip(&mut rates) {
                    let hosts = apps
                        .iter()
                        .zip(["bench-1", "bench-2"])
                        .map(|(app, name)| {
                            let task = filled.task(&database.url(), name, *app, work, at_once);
                            Host::start(&task)
                        })
                        .collect::<Result<Vec<_>>>()?;
                    let together = Host::run(hosts, self.window / TURNS)?;
                    rates.push(together.iter().sum());
                }
            }
            for ((_, which), rates) in fleets.iter().zip(rates) {
                let row = format!("{what}, {at_once} concurrent at each, {which}");
                report(&of(&row), median(rates), "/s");
            }
        }
        Ok(())
    }

    fn run(
        &self,
        platform: &Platform,
        work: Work,
        at_once: usize,
        database: Option<&Database>,
    ) -> Result<Ran> {
        let before = (database.map(wal_bytes), platform.vaults.store_stats());
        let begun = Instant::now();
        let mut laps = self
            .runtime
            .block_on(platform.work(work, at_once, self.window))?;
        let took = begun.elapsed();
        let after = (database.map(wal_bytes), platform.vaults.store_stats());
        let count = laps.len() as f64;
        let writes = after.1.writes - before.1.writes;
        let commits = after.1.commits - before.1.commits;
        Ok(Ran {
            p50: percentile(&mut laps, 50),
            p99: percentile(&mut laps, 99),
            per_second: count / took.as_secs_f64(),
            grouped: writes as f64 / commits as f64,
            wal_bytes: (after.0.zip(before.0)).map(|(after, before)| (after - before) / count),
        })
    }
}

struct Ran {
    p50: Duration,
    p99: Duration,
    per_second: f64,
    /// The average number of writes in a transaction.
    grouped: f64,
    /// The bytes that the server wrote to its log for each. They include pages that a checkpoint
    /// made it write whole.
    wal_bytes: Option<f64>,
}

/// The number of bytes that the server has ever written to its log.
fn wal_bytes(database: &Database) -> f64 {
    let answer = database.query("SELECT pg_current_wal_lsn() - '0/0'");
    answer.parse().expect("it is a number")
}
