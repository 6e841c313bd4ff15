//! The one source of randomness: the operating system's generator.

/// Fills `bytes` from the operating system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes)
        .expect("the operating system's generator works once the machine has booted");
}
