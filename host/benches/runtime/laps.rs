//! Measured values, and their output.

use std::time::{Duration, Instant};

use serde_json::json;

/// Measured values, collected for a limited time.
pub struct Laps {
    until: Instant,
    pub values: Vec<f64>,
    pub per_second: f64,
}

impl Laps {
    pub fn start(window: Duration) -> Self {
        Self {
            until: Instant::now() + window,
            values: Vec::new(),
            per_second: 0.0,
        }
    }

    pub fn goes_on(&self) -> bool {
        self.values.is_empty() || Instant::now() < self.until
    }

    pub fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    pub fn at(&self, percent: usize) -> f64 {
        let mut values = self.values.clone();
        values.sort_unstable_by(f64::total_cmp);
        values[(values.len() - 1) * percent / 100]
    }
}

pub fn report(name: &str, value: f64, unit: &str) {
    println!("{}", json!({ "name": name, "value": value, "unit": unit }));
}

pub fn budget(name: &str, value: f64, at_most: f64, unit: &str) {
    let budget = format!("≤ {at_most}");
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "budget": budget, "met": value <= at_most })
    );
}

pub fn at_least(name: &str, value: f64, at_least: f64, unit: &str) {
    let budget = format!("≥ {at_least}");
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "budget": budget, "met": value >= at_least })
    );
}
