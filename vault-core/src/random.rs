//! The one source of randomness: the operating system's generator.

/// Fills `bytes` with random bytes. Panics if the generator fails.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes)
        .expect("the operating system's generator works once the machine has booted");
}
