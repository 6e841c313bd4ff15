//! The clock of a run. No clock is imported: the host gives the time at which the run begins, and
//! each reading is one microsecond after the previous one.
//!
//! So `Date` tells the real time up to the length of the run, never goes back and never repeats. A
//! loop that waits for a time ends. The difference between two readings does not tell how long
//! something took.

use std::cell::Cell;

thread_local! {
    static NOW_MICROS: Cell<u64> = const { Cell::new(0) };
}

/// Begins a run at `now_ms`, in milliseconds since the Unix epoch.
pub fn begin(now_ms: u64) {
    NOW_MICROS.with(|now| now.set(now_ms.saturating_mul(1_000)));
}

/// Answers the engine's only question to the outside, in microseconds since the Unix epoch. The
/// definition here keeps it from becoming an import.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    reading_micros() as f64
}

#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
fn reading_micros() -> u64 {
    NOW_MICROS.with(|now| {
        let reading = now.get();
        now.set(reading.saturating_add(1));
        reading
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_begin_with_the_run_and_never_repeat() {
        begin(1_700_000_000_000);
        assert_eq!(reading_micros(), 1_700_000_000_000_000);
        assert_eq!(reading_micros(), 1_700_000_000_000_001);
    }
}
