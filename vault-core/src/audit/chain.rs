//! The hash chains: each entry's hash covers its content and the hash of the entry before it in the same chain. The first
//! one's covers the name of its chain instead, which `audit::chain::name` defines.
//!
//! The hash is unkeyed. Whoever can write the whole file can compute a new chain; `audit verify --expect-head`
//! with a head that was kept elsewhere finds that. `audit::row` says what of an entry is hashed,
//! `audit::verify` checks a chain.

mod hash;
mod name;

pub(super) use self::hash::{field, optional};
pub use self::{
    hash::{ChainHash, InvalidChainHash},
    name::{CHAIN_NAME_MAX_CHARS, ChainName, InvalidChainName},
};
