//! The two bytes at the start of every stored ciphertext: format version and algorithm.
//!
//! The rest of each layout is drawn in `key::local` and `envelope`.

/// The only format version so far.
pub(crate) const VERSION_1: u8 = 1;

/// AES-256-GCM with a 96-bit nonce and a 128-bit tag.
pub(crate) const AES_256_GCM: u8 = 1;

/// Why stored bytes are not a ciphertext of a known format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A version that this program does not know.
    #[error("the format version {0} is unknown; a newer program wrote this or it is damaged")]
    UnknownVersion(u8),
    /// An algorithm that this program does not know.
    #[error("the algorithm {0} is unknown; a newer program wrote this or it is damaged")]
    UnknownAlgorithm(u8),
    /// There are too few or too many bytes.
    #[error("the length does not fit the format; it was cut or something was appended")]
    BadLength,
}

/// Checks the two leading bytes and returns the rest.
pub(crate) fn body(blob: &[u8]) -> Result<&[u8], FormatError> {
    match *blob {
        [] | [_] => Err(FormatError::BadLength),
        [version, ..] if version != VERSION_1 => Err(FormatError::UnknownVersion(version)),
        [_, algorithm, ..] if algorithm != AES_256_GCM => {
            Err(FormatError::UnknownAlgorithm(algorithm))
        }
        [_, _, ref rest @ ..] => Ok(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_version_and_algorithm_pass() {
        assert_eq!(body(&[1, 1, 9]), Ok(&[9][..]));
        assert_eq!(body(&[]), Err(FormatError::BadLength));
        assert_eq!(body(&[1]), Err(FormatError::BadLength));
        assert_eq!(body(&[2, 1]), Err(FormatError::UnknownVersion(2)));
        assert_eq!(body(&[1, 2]), Err(FormatError::UnknownAlgorithm(2)));
    }
}
