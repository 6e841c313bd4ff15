//! The shared parts of the suites: waiting for a condition, an upstream and a trace collector on
//! loopback, a platform on a database of its own, the host's binary alone and serving, a wire to
//! it, PostgreSQL, nginx, relays in between, and the output of benches.
//!
//! No suite's expectations are here, and nothing here stands in for a part of this project.

pub mod binary;
pub mod collector;
pub mod daemon;
pub mod eventually;
pub mod fixture;
pub mod flood;
pub mod load;
pub mod measure;
pub mod nginx;
pub mod postgres;
pub mod process;
pub mod relay;
pub mod requirement;
pub mod rotation;
pub mod serving;
pub mod upstream;
pub mod wire;
