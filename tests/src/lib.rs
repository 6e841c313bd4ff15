//! What the suites share: an upstream and a trace collector on loopback, a platform on a database of its own, the host's
//! binary, alone and serving, and a wire to it.
//!
//! No suite's expectations are here, and nothing here is a stand-in for a part of this project.

pub mod binary;
pub mod collector;
pub mod daemon;
pub mod fixture;
pub mod load;
pub mod requirement;
pub mod rotation;
pub mod serving;
pub mod upstream;
pub mod wire;
