//! The output of benches: one JSON object a line, `{"name", "value", "unit"}`, and `"budget"` with
//! `"met"` where there is a budget. A few statistics are here too.
//!
//! Nothing is measured here. `cargo xtask bench` makes a table of the lines.

use std::time::Duration;

use serde_json::json;

/// The time that `percent` of the laps did not exceed. There must be a lap.
pub fn percentile(laps: &mut [Duration], percent: usize) -> Duration {
    laps.sort_unstable();
    laps[(laps.len() - 1) * percent / 100]
}

/// The value in the middle. There must be a value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A size in millions of bytes.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Prints a figure without a budget.
pub fn report(name: &str, value: f64, unit: &str) {
    println!("{}", json!({ "name": name, "value": value, "unit": unit }));
}

/// Prints a figure that should not exceed `budget`.
pub fn at_most(name: &str, value: f64, budget: f64, unit: &str) {
    budgeted(name, value, &format!("≤ {budget}"), value <= budget, unit);
}

/// Prints a figure that should not be below `budget`.
pub fn at_least(name: &str, value: f64, budget: f64, unit: &str) {
    budgeted(name, value, &format!("≥ {budget}"), value >= budget, unit);
}

fn budgeted(name: &str, value: f64, budget: &str, is_met: bool, unit: &str) {
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "budget": budget, "met": is_met })
    );
}
