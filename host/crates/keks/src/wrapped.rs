//! What the providers wrap: a version, and their own part.

use vault_core::FormatError;

/// The first byte of what these providers wrap; what follows is the provider's own.
pub(super) const VERSION_1: u8 = 1;

/// What a provider wrapped, without the byte that says how it is laid out.
pub(super) fn provider_part(wrapped: &[u8]) -> Result<&[u8], FormatError> {
    match *wrapped {
        [] | [_] => Err(FormatError::BadLength),
        [VERSION_1, ref rest @ ..] => Ok(rest),
        [version, ..] => Err(FormatError::UnknownVersion(version)),
    }
}
