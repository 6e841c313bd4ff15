//! The platform host.

pub mod scrub;
