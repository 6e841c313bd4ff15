//! Benchmarks of a rewrap: its speed, how long writers wait for it, and its memory.

use std::{
    fs,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use vault_core::{
    Caller, KekId, Keyring, LocalKek, RewrapOptions, SecretVaults, SqliteOptions, SqliteStore,
};

use crate::{
    bench::{Bench, Failure},
    measure::{at_least_of, at_most, at_most_of, median, report},
    platform::{Platform, put_in},
};

const FEW: usize = 10_000;

/// The longest time that a put may wait during a rewrap.
const WAIT_BUDGET_MS: f64 = 100.0;

impl Bench {
    pub fn rewrap(&self) -> Result<(), Failure> {
        let many = match (self.long, self.is_quick()) {
            (true, _) => 1_000_000,
            (false, false) => 100_000,
            (false, true) => 20_000,
        };
        let few = Rotation::new(self, FEW)?;
        let few_peak = few.peak_kib(self)?;
        few.close(self)?;
        let rotation = Rotation::new(self, many)?;
        let many_peak = rotation.peak_kib(self)?;
        report(
            &format!("rewrap of {FEW}, memory taken"),
            few_peak / 1024.0,
            "MiB",
        );
        report(
            &format!("rewrap of {many}, memory taken"),
            many_peak / 1024.0,
            "MiB",
        );
        // A few MiB of caches fill up in either case.
        at_most(
            "rewrap, memory of many / of few",
            many_peak / few_peak.max(4096.0),
            2.0,
        );

        let alone: Vec<f64> = self.turns(|| Ok(rotation.rewrap(self)?.0))?;
        at_least_of("rewrap", median(alone), 50_000.0, "/s");
        let beside = rotation.beside(self, false)?;
        for (writers, vaults, whose) in [
            (1, &rotation.vaults, "of the host"),
            (8, &rotation.vaults, "of the host"),
            (8, &beside, "of another process"),
        ] {
            let (mut rates, mut waits) = (Vec::new(), Vec::new());
            self.turns(|| {
                let (rate, wait) = self.with_writers(&rotation, vaults, writers)?;
                rates.push(rate);
                waits.push(wait);
                Ok(rate)
            })?;
            let undisturbed = self.longest_wait(&rotation.platform, vaults, writers, None)?;
            let what = format!("{writers} writers {whose}");
            at_least_of(
                &format!("rewrap beside {what}"),
                median(rates),
                50_000.0,
                "/s",
            );
            at_most_of(
                &format!("the longest wait of {what} beside it"),
                waits.into_iter().fold(0.0, f64::max),
                WAIT_BUDGET_MS,
                "ms",
            );
            report(
                &format!("the same without a rewrap, {what}"),
                undisturbed,
                "ms",
            );
        }
        self.runtime.block_on(beside.close())?;
        rotation.close(self)
    }

    /// Repeats `turn` until the time is up, at least twice: to the new KEK and back.
    fn turns(&self, mut turn: impl FnMut() -> Result<f64, Failure>) -> Result<Vec<f64>, Failure> {
        let (begun, mut all) = (Instant::now(), Vec::new());
        while all.len() < 2 || begun.elapsed() < 2 * self.window {
            all.push(turn()?);
        }
        Ok(all)
    }

    /// Secrets per second, and the longest wait of a writer in milliseconds.
    fn with_writers(
        &self,
        rotation: &Rotation,
        vaults: &SecretVaults,
        writers: usize,
    ) -> Result<(f64, f64), Failure> {
        let mut rate = 0.0;
        let wait = self.longest_wait(
            &rotation.platform,
            vaults,
            writers,
            Some(&mut || {
                rate = rotation.rewrap(self)?.0;
                Ok(())
            }),
        )?;
        Ok((rate, wait))
    }

    /// The longest put of `writers` writers, in milliseconds, while `meanwhile` runs. Without
    /// `meanwhile` it measures for one window.
    fn longest_wait(
        &self,
        platform: &Platform,
        vaults: &SecretVaults,
        writers: usize,
        meanwhile: Option<&mut dyn FnMut() -> Result<(), Failure>>,
    ) -> Result<f64, Failure> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (app_id, vault_id) = (platform.app.id, platform.vault.id);
        let spawn = |writer: usize| {
            let (vaults, is_over) = (vaults.clone(), Arc::clone(&is_over));
            self.runtime.spawn(async move {
                let mut longest = Duration::ZERO;
                for put in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    put_in(&vaults, app_id, vault_id, writer * 100 + put % 100).await?;
                    longest = longest.max(begun.elapsed());
                }
                Ok::<_, Failure>(longest)
            })
        };
        let running: Vec<_> = (0..writers).map(spawn).collect();
        match meanwhile {
            Some(meanwhile) => meanwhile()?,
            None => std::thread::sleep(self.window),
        }
        is_over.store(true, Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for writer in running {
            longest = longest.max(self.runtime.block_on(writer)??);
        }
        Ok(longest.as_secs_f64() * 1e3)
    }
}

/// A filled database, and vaults that have a new KEK in addition to the KEK that wraps its secrets.
struct Rotation {
    platform: Platform,
    vaults: SecretVaults,
    new: String,
    kek_ids: [KekId; 2],
}

impl Rotation {
    fn new(bench: &Bench, secrets: usize) -> Result<Self, Failure> {
        let platform = bench.filled(secrets / 100, 100)?;
        let new = LocalKek::make_text().to_string();
        let keyring = Keyring::local(&new, Some(&platform.kek))?;
        let kek_ids = [keyring.kek_ids()[0], keyring.kek_ids()[1]];
        let mut rotation = Self {
            vaults: platform.vaults.clone(),
            platform,
            new,
            kek_ids,
        };
        rotation.vaults = rotation.beside(bench, true)?;
        Ok(rotation)
    }

    /// Opens the same database as another process would. `new_first` says which KEK is primary.
    fn beside(&self, bench: &Bench, new_first: bool) -> Result<SecretVaults, Failure> {
        let path = self.platform.folder.path().join("vault.db");
        let keyring = match new_first {
            true => Keyring::local(&self.new, Some(&self.platform.kek))?,
            false => Keyring::local(&self.platform.kek, Some(&self.new))?,
        };
        let store = SqliteStore::open(path, SqliteOptions::default())?;
        let vaults = SecretVaults::open(Arc::new(store), Some(keyring));
        Ok(bench.runtime.block_on(vaults)?)
    }

    /// Moves all secrets to the KEK that wraps fewer of them. Returns secrets per second and the
    /// number of secrets.
    fn rewrap(&self, bench: &Bench) -> Result<(f64, u64), Failure> {
        let status = bench.runtime.block_on(self.vaults.kek_status())?;
        let rows = |kek_id: &KekId| {
            let kek = status.keks.iter().find(|kek| kek.kek_id == *kek_id);
            kek.map_or(0, |kek| kek.rows)
        };
        let to = self.kek_ids.into_iter().min_by_key(rows);
        let options = RewrapOptions {
            to,
            ..RewrapOptions::default()
        };
        let caller = Caller::operator();
        let go_on = |_: &_| ControlFlow::Continue(());
        let rewrapping = self.vaults.rewrap(&caller, options, go_on);
        let done = bench.runtime.block_on(rewrapping)?;
        assert_eq!(done.progress.unreadable, 0);
        let moved = done.progress.moved;
        Ok((moved as f64 / done.elapsed.as_secs_f64(), moved))
    }

    /// The peak memory of the process during a rewrap, less its memory before, in KiB.
    fn peak_kib(&self, bench: &Bench) -> Result<f64, Failure> {
        // Reset the peak, so that it covers only what follows.
        fs::write("/proc/self/clear_refs", "5")?;
        let before = status_kib("VmRSS:")?;
        self.rewrap(bench)?;
        Ok((status_kib("VmHWM:")? - before).max(0.0))
    }

    fn close(self, bench: &Bench) -> Result<(), Failure> {
        bench.runtime.block_on(self.vaults.close())?;
        Ok(bench.runtime.block_on(self.platform.vaults.close())?)
    }
}

fn status_kib(field: &str) -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the system does not tell")?.parse()?)
}
