//! The hash chains. The hash of an entry covers its content and the hash of the entry before it in
//! the same chain. The first entry has no predecessor and covers the name of its chain instead; see
//! `audit::chain::name`.
//!
//! The hash is unkeyed, so whoever can write the whole file can compute a new chain. `audit verify
//! --expect-head` with a head that was kept elsewhere finds that. `audit::row` defines what of an
//! entry is hashed, and `audit::verify` checks a chain.

mod hash;
mod name;

pub(super) use self::hash::{field, optional};
pub use self::{
    hash::{ChainHash, InvalidChainHash},
    name::{CHAIN_NAME_MAX_CHARS, ChainName, InvalidChainName},
};
