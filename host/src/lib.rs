//! The platform host.

pub mod runtime;
