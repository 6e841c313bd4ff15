//! The format of wrapped DEKs: a version, then the provider's part.

use vault_core::FormatError;

/// The first byte of a wrapped DEK. The provider's part follows.
pub(super) const VERSION_1: u8 = 1;

/// Returns the provider's part of a wrapped DEK, without the version byte.
pub(super) fn provider_part(wrapped: &[u8]) -> Result<&[u8], FormatError> {
    match *wrapped {
        [] | [_] => Err(FormatError::BadLength),
        [VERSION_1, ref rest @ ..] => Ok(rest),
        [version, ..] => Err(FormatError::UnknownVersion(version)),
    }
}
