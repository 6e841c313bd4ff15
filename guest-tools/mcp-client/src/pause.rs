//! Waiting. Nothing else happens in this component meanwhile.

use trusted_tool::bindings::wasi::clocks::monotonic_clock;

/// Waits for `count` milliseconds.
pub fn milliseconds(count: u64) {
    monotonic_clock::subscribe_duration(count.saturating_mul(1_000_000)).block();
}
