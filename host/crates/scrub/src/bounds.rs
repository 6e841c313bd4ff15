//! How much of a value is a find.

/// So many characters of a value in a row are a find, whatever stands around them.
pub const RUN_CHARS: usize = 8;

/// A secret of fewer bytes is matched only as a whole token (not next to a
/// letter, a digit, `_` or `-`), to keep ordinary text intact.
pub const WHOLE_TOKEN_BELOW_BYTES: usize = 8;

/// So much of a number of JSON goes with a find in it, on either side. Without a bound, each find
/// in a text of digits would look at all of them.
pub(crate) const MAX_NUMBER_BYTES: usize = 64;
