//! The HTTP API: what its routes share. The routes themselves, and the sockets under them, are not here.

pub mod admin_token;
pub mod throttle;
