//! What a rewrap is asked to do.

use std::{fmt, str::FromStr};

use crate::key::KekId;

/// How many secrets one transaction of a rewrap moves: 1 to [`BatchSize::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize(u32);

/// It is no size of a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a batch has 1 to {} secrets; the default is {}",
    BatchSize::MAX,
    BatchSize::DEFAULT
)]
pub struct InvalidBatchSize;

impl BatchSize {
    /// How many secrets a batch has when nothing is said.
    pub const DEFAULT: u32 = 500;

    /// The largest batch: what other writers can be expected to wait for.
    pub const MAX: u32 = 2_000;

    /// How many secrets.
    pub fn rows(self) -> u32 {
        self.0
    }
}

impl Default for BatchSize {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u32> for BatchSize {
    type Error = InvalidBatchSize;

    fn try_from(rows: u32) -> Result<Self, InvalidBatchSize> {
        match rows {
            1..=Self::MAX => Ok(Self(rows)),
            _ => Err(InvalidBatchSize),
        }
    }
}

impl FromStr for BatchSize {
    type Err = InvalidBatchSize;

    fn from_str(text: &str) -> Result<Self, InvalidBatchSize> {
        let rows: u32 = text.parse().map_err(|_| InvalidBatchSize)?;
        rows.try_into()
    }
}

/// What a rewrap is to do. The default moves every secret to the primary KEK.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewrapOptions {
    /// To which KEK of the keyring; to the primary one, without.
    pub to: Option<KekId>,
    /// Find out what would be moved, and change nothing.
    pub dry_run: bool,
    /// Open every value on the way too.
    pub verify: bool,
    /// Put every secret under a fresh DEK as well, those included that the KEK wraps already: who had the old KEK may
    /// know the old DEKs.
    pub reencrypt: bool,
    /// How many secrets at a time.
    pub batch: BatchSize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_bounds() {
        for good in ["1", "500", "2000"] {
            assert_eq!(good.parse::<BatchSize>().unwrap().rows().to_string(), good);
        }
        for bad in ["0", "2001", "-1", "", "many", "1.5"] {
            assert_eq!(bad.parse::<BatchSize>(), Err(InvalidBatchSize), "{bad:?}");
        }
    }
}
