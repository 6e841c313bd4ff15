//! Several hosts on one PostgreSQL, and what may happen to it: against a real server, which the tests start, break and
//! start again.
//!
//! What a store does whichever it is, is the vault's suite.

#![expect(clippy::unwrap_used, reason = "a failing unwrap fails its test")]

mod audit;
mod bad_input;
mod cluster;
mod faults;
mod limits;
mod migrate;
mod pair;
mod relay;
mod revocation;
mod rewrap;
