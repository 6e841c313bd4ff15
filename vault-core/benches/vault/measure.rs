//! Timing and printing. Nothing here knows the vault.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::json;

use crate::bench::Failure;

/// Speed and latencies of something that ran many times.
pub struct Rate {
    pub p50_us: f64,
    pub p99_us: f64,
    pub per_second: f64,
}

impl Rate {
    pub fn of(mut laps: Vec<Duration>, total: Duration) -> Self {
        laps.sort_unstable();
        let at = |percent: usize| laps[(laps.len() - 1) * percent / 100].as_secs_f64() * 1e6;
        Self {
            p50_us: at(50),
            p99_us: at(99),
            per_second: laps.len() as f64 / total.as_secs_f64(),
        }
    }

    /// The median of each figure.
    pub fn median(rates: Vec<Self>) -> Self {
        let of = |field: fn(&Self) -> f64| median(rates.iter().map(field).collect());
        Self {
            p50_us: of(|rate| rate.p50_us),
            p99_us: of(|rate| rate.p99_us),
            per_second: of(|rate| rate.per_second),
        }
    }
}

/// A floor for writes: a row of the size of an audit entry, committed with the same durability.
pub struct Floor(Connection);

impl Floor {
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        let connection = Connection::open(folder.join("floor.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             CREATE TABLE entries (seq INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT",
        )?;
        Ok(Self(connection))
    }

    pub fn commit(&self) -> Result<(), Failure> {
        self.0
            .prepare_cached("INSERT INTO entries (content) VALUES (zeroblob(400))")?
            .execute([])?;
        Ok(())
    }

    /// Commits one row after the other until the window ends.
    pub fn commits(&self, window: Duration) -> Result<Rate, Failure> {
        let (begun, mut laps) = (Instant::now(), Vec::new());
        while begun.elapsed() < window {
            let lap = Instant::now();
            self.commit()?;
            laps.push(lap.elapsed());
        }
        Ok(Rate::of(laps, begun.elapsed()))
    }
}

/// The times of laps until a window ends.
pub struct Timing {
    until: Instant,
    last: Instant,
    laps_ns: Vec<f64>,
}

impl Timing {
    pub fn new(window: Duration) -> Self {
        let now = Instant::now();
        Self {
            until: now + window,
            last: now,
            laps_ns: Vec::new(),
        }
    }

    pub fn goes_on(&self) -> bool {
        self.last < self.until
    }

    /// Ends a lap of `calls` calls.
    pub fn lap(&mut self, calls: u32) {
        let now = Instant::now();
        self.laps_ns
            .push((now - self.last).as_nanos() as f64 / f64::from(calls));
        self.last = now;
    }

    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The fastest lap, in which nothing interfered.
    pub fn best(&self) -> f64 {
        self.percentile(10)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut laps = self.laps_ns.clone();
        laps.sort_by(f64::total_cmp);
        laps[(laps.len() - 1) * percent / 100]
    }
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn report(name: &str, value: f64, unit: &str) {
    println!("{}", json!({ "name": name, "value": value, "unit": unit }));
}

pub fn at_most(name: &str, value: f64, budget: f64) {
    at_most_of(name, value, budget, "×");
}

pub fn at_most_of(name: &str, value: f64, budget: f64, unit: &str) {
    let budget_text = format!("≤ {budget}");
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "budget": budget_text, "met": value <= budget })
    );
}

pub fn at_least(name: &str, value: f64, budget: f64) {
    at_least_of(name, value, budget, "×");
}

pub fn at_least_of(name: &str, value: f64, budget: f64, unit: &str) {
    let budget_text = format!("≥ {budget}");
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "budget": budget_text, "met": value >= budget })
    );
}
