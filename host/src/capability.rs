//! The interfaces of `wit/` that the host implements, a file each.

pub(crate) mod config;
mod copied;
pub(crate) mod log;
pub(crate) mod secrets;
