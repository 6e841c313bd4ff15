//! Limits on how much of a value counts as a find.

/// This many characters of a value in a row are a find, whatever surrounds them.
pub const RUN_CHARS: usize = 8;

/// A secret of fewer bytes is matched only as a whole token (not next to a
/// letter, a digit, `_` or `-`), to keep ordinary text intact.
pub const WHOLE_TOKEN_BELOW_BYTES: usize = 8;

/// When a find lies in a JSON number, this many bytes of the number on either side are replaced
/// with it. Without a bound, each find in a text of digits would read all of them.
pub(crate) const MAX_NUMBER_BYTES: usize = 64;
