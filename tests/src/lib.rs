//! What the suites share: an upstream on loopback, a platform on a database of its own, the host's binary.
//!
//! No suite's expectations are here, and nothing here is a stand-in for a part of this project.

pub mod binary;
pub mod daemon;
pub mod fixture;
pub mod upstream;
