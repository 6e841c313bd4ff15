//! The platform host.

pub mod egress;
pub mod scrub;
