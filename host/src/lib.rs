//! The platform host.
