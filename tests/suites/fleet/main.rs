//! Several hosts on one PostgreSQL, and what can happen to it. The tests start a real server, break
//! it and start it again.
//!
//! The vault's suite tests what every store does.

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
