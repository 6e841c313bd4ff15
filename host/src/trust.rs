//! Which certificates the host trusts as a client, and what it says of a file that it cannot use.
//!
//! It knows no connection: upstreams, providers of keys, the database and the collector make their own.

mod config_error;
mod roots;

pub use self::config_error::ConfigError;
pub use self::roots::TrustError;
pub(crate) use self::roots::{client_config, client_config_of, extra_ca_pem};
