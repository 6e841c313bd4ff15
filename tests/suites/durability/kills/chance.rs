//! Repeatable random choices: SplitMix64. Nothing secret is made with it.

/// A sequence of choices.
pub struct Chance(u64);

impl Chance {
    /// One of several sequences that share a seed.
    pub fn new(seed: u64, number: usize) -> Self {
        let mut chance = Self(seed);
        (0..=number).for_each(|_| chance = Self(chance.next()));
        chance
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A sequence of its own, for another thread.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A seed that differs each time.
pub fn seed() -> u64 {
    let bytes = vault_core::VaultId::make();
    let (_, last) = bytes.as_bytes().split_at(8);
    u64::from_le_bytes(last.try_into().expect("eight bytes"))
}
