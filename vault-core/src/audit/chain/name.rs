//! The name of a chain, and its beginning.
//!
//! The stores decide who writes which chain.

use std::{borrow::Borrow, borrow::Cow, fmt, str::FromStr};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::hash::{ChainHash, field};

const DOMAIN: &[u8] = b"tavora/audit-chain/v1";

/// The longest name of a chain, in characters.
pub const CHAIN_NAME_MAX_CHARS: usize = 64;

/// The name of a chain: 1 to [`CHAIN_NAME_MAX_CHARS`] characters of `A-Z a-z 0-9 . _ -`. The name
/// is empty for the one chain of a local file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName(Cow<'static, str>);

/// The text cannot name a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of an audit chain has 1 to {CHAIN_NAME_MAX_CHARS} characters of A-Z, a-z, 0-9, '.', '_' and '-'"
)]
pub struct InvalidChainName;

impl ChainName {
    /// The chain of a local file, which has no name.
    pub const LOCAL: Self = Self(Cow::Borrowed(""));

    /// Parses what [`as_str`](Self::as_str) gave. Empty text means the chain of a local file.
    ///
    /// # Errors
    /// The text was never the name of a chain.
    pub fn from_stored(text: &str) -> Result<Self, InvalidChainName> {
        match text {
            "" => Ok(Self::LOCAL),
            name => name.parse(),
        }
    }

    /// The name as text; empty for the chain of a local file.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the chain of a local file.
    pub fn is_local(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash before the first entry. It differs for every name, so that no chain can pass for
    /// another.
    pub fn genesis(&self) -> ChainHash {
        if self.is_local() {
            return ChainHash::GENESIS;
        }
        let mut hash = Sha256::new();
        field(&mut hash, DOMAIN);
        field(&mut hash, self.0.as_bytes());
        ChainHash::of(hash)
    }
}

impl FromStr for ChainName {
    type Err = InvalidChainName;

    fn from_str(text: &str) -> Result<Self, InvalidChainName> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=CHAIN_NAME_MAX_CHARS).contains(&text.len()) || !text.bytes().all(is_plain) {
            return Err(InvalidChainName);
        }
        Ok(Self(text.to_owned().into()))
    }
}

impl Borrow<str> for ChainName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ChainName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        let longest = "a".repeat(CHAIN_NAME_MAX_CHARS);
        for name in ["a", "host-1.example_A", "-", &longest] {
            let parsed: ChainName = name.parse().unwrap();
            assert_eq!(parsed.as_str(), name);
            assert_eq!(ChainName::from_stored(name), Ok(parsed));
        }
        let too_long = "a".repeat(CHAIN_NAME_MAX_CHARS + 1);
        for text in ["", " ", "a b", "a/b", "a\n", "\u{e4}", "a:b", &too_long] {
            assert_eq!(text.parse::<ChainName>(), Err(InvalidChainName), "{text:?}");
        }
        assert_eq!(ChainName::from_stored(""), Ok(ChainName::LOCAL));
        assert_eq!(ChainName::from_stored("a b"), Err(InvalidChainName));
    }

    /// The value is frozen: another beginning would make every chain of that name look forged.
    #[test]
    fn a_chain_begins_with_its_name() {
        assert_eq!(ChainName::LOCAL.genesis(), ChainHash::GENESIS);
        let genesis = |name: &str| name.parse::<ChainName>().unwrap().genesis();
        // printf '\0\0\0\0\0\0\0\x15tavora/audit-chain/v1\0\0\0\0\0\0\0\x06host-a' | sha256sum
        assert_eq!(
            genesis("host-a").to_string(),
            "8bb33bd05b0bd5f71c714acd7a81c01ac88a06b52adaf7fe32c029b925f9a3f1"
        );
        assert_ne!(genesis("host-a"), genesis("host-b"));
    }
}
