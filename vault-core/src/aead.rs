//! AES-256-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D), in place.
//!
//! No other file names the cipher crate. So one change replaces it, and the published test vectors
//! run through exactly what the envelope uses. Nonces and formats are chosen elsewhere.

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};
use zeroize::ZeroizeOnDrop;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;
/// The length of a nonce in bytes.
pub const NONCE_BYTES: usize = 12;
/// The length of an authentication tag in bytes.
pub const TAG_BYTES: usize = 16;

/// An expanded key, ready to seal and open. It is cleared when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Aead(Aes256Gcm);

/// The ciphertext, tag, nonce, associated data or key differs from when this was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext is not authentic under this key and associated data")]
pub struct NotAuthentic;

impl Aead {
    /// Expands a key for any number of seals and opens.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts `buffer` in place and returns the tag. A key must never use the same nonce twice.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated_data: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG_BYTES] {
        let tag = self
            .0
            .encrypt_inout_detached(nonce.into(), associated_data, buffer.into());
        tag.expect("lengths here are far below the 64 GiB that GCM can take")
            .into()
    }

    /// Checks the tag, then decrypts `buffer` in place.
    ///
    /// # Errors
    /// [`NotAuthentic`]; `buffer` then still holds the ciphertext.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated_data: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), NotAuthentic> {
        self.0
            .decrypt_inout_detached(nonce.into(), associated_data, buffer.into(), tag.into())
            .map_err(|_| NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        let aead = Aead::new(&[7; KEY_BYTES]);
        let nonce = [1; NONCE_BYTES];
        let mut buffer = *b"attack at dawn";
        let tag = aead.seal(&nonce, b"ad", &mut buffer);
        let sealed = buffer;
        assert_ne!(&sealed, b"attack at dawn");
        assert_eq!(
            aead.open(&nonce, b"da", &mut buffer, &tag),
            Err(NotAuthentic)
        );
        assert_eq!(buffer, sealed);
        aead.open(&nonce, b"ad", &mut buffer, &tag).unwrap();
        assert_eq!(&buffer, b"attack at dawn");
    }
}
