//! The certificates that the host trusts as a client, the sources of its own credentials, and the
//! errors about files of the configuration.
//!
//! No connection is made here. Upstreams, KEK providers, the database and the collector make their
//! own.

pub mod component_file;
mod config_error;
pub mod credential;
pub mod guard;
pub mod nearest;
pub mod origin;
mod roots;
pub mod slot;

/// The `User-Agent` of the host's own requests. Some firewalls refuse requests without one.
pub const USER_AGENT: &str = concat!("tavora-host/", env!("CARGO_PKG_VERSION"));

pub use self::config_error::ConfigError;
pub use self::nearest::nearest;
pub use self::roots::TrustError;
pub use self::roots::{client_config, client_config_of, extra_ca_pem};
