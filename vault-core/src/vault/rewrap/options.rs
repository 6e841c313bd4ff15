//! The options of a rewrap.

use std::{fmt, str::FromStr};

use crate::key::KekId;

/// The number of secrets that one transaction of a rewrap moves: 1 to [`BatchSize::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize(u32);

/// The number is no size of a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a batch has 1 to {} secrets; the default is {}",
    BatchSize::MAX,
    BatchSize::DEFAULT
)]
pub struct InvalidBatchSize;

impl BatchSize {
    /// The default number of secrets in a batch.
    pub const DEFAULT: u32 = 500;

    /// The largest batch. Other writers wait for a batch, so it bounds their wait.
    pub const MAX: u32 = 2_000;

    /// The number of secrets.
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

/// The options of a rewrap. The default moves every secret to the primary KEK.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewrapOptions {
    /// The KEK to move to, which the keyring must hold; the primary one when absent.
    pub to: Option<KekId>,
    /// Only find out what would be moved. Changes nothing.
    pub dry_run: bool,
    /// Also open every value.
    pub verify: bool,
    /// Also give every secret a fresh DEK, including those that the KEK already wraps. A person who
    /// had the old KEK may know the old DEKs.
    pub reencrypt: bool,
    /// The number of secrets in a batch.
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
