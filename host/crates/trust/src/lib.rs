//! Which certificates the host trusts as a client, and what it says of a file that it cannot use.
//!
//! It also names what the configuration and egress share: origins, and the slots of credentials.
//!
//! It knows no connection: upstreams, providers of keys, the database and the collector make their
//! own.

pub mod component_file;
mod config_error;
pub mod credential;
pub mod guard;
pub mod nearest;
pub mod origin;
mod roots;
pub mod slot;

/// The `User-Agent` of requests that the host itself makes. Firewalls refuse what nobody seems to
/// ask.
pub const USER_AGENT: &str = concat!("tavora-host/", env!("CARGO_PKG_VERSION"));

pub use self::config_error::ConfigError;
pub use self::nearest::nearest;
pub use self::roots::TrustError;
pub use self::roots::{client_config, client_config_of, extra_ca_pem};
