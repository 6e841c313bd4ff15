//! `Math.random`, with a new seed for each run. The engine's own generator would repeat the numbers
//! of the day on which it was pre-initialised. Not for cryptography.

use std::cell::Cell;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
pub struct Random(Cell<u64>);

impl Random {
    /// A generator with the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Starts over with the sequence of `seed`.
    pub fn begin(&self, seed: u64) {
        self.0.set(seed);
    }

    /// One of 2^53 equally spaced values from 0 up to but not including 1.
    pub fn next_fraction(&self) -> f64 {
        (self.next_bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next_bits(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_sequence() {
        let random = Random::new(1_234_567);
        assert_eq!(random.next_bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_fraction_is_less_than_one() {
        let random = Random::new(0);
        for seed in 0..1_000 {
            random.begin(seed);
            assert!((0.0..1.0).contains(&random.next_fraction()));
        }
    }
}
