//! The DEK of a secret. The envelope decides what it encrypts.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random::fill_random;

/// A data encryption key of 32 uniform bytes. It lives on the heap, so that moving it copies
/// nothing, and is cleared when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Dek(Box<[u8; 32]>);

impl Dek {
    /// Makes a fresh key with the operating system's generator.
    pub fn make() -> Self {
        let mut dek = Self(Box::new([0; 32]));
        fill_random(dek.0.as_mut_slice());
        dek
    }

    /// Takes a copy of key bytes and clears the original.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let dek = Self(Box::new(*bytes));
        bytes.zeroize();
        dek
    }

    /// Copies the key, for a provider that remembers it.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The key bytes, for a provider to wrap.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_key_bytes_clears_where_they_were() {
        let mut bytes = [9; 32];
        let dek = Dek::take(&mut bytes);
        assert_eq!((dek.expose(), bytes), (&[9; 32], [0; 32]));
    }
}
