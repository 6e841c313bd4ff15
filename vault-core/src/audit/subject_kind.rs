//! The kinds of things that this crate records entries about. A host may add its own.

/// The subject is an app, by its id.
pub const APP: &str = "app";
/// The subject is an API key, by its id.
pub const API_KEY: &str = "api_key";
/// The subject is a vault, by its id.
pub const VAULT: &str = "vault";
/// The subject is a secret, by `<vault id>/<name>`. Where no vault is designated, the name stands
/// alone.
pub const SECRET: &str = "secret";
/// The subject is a KEK, by its id.
pub const KEK: &str = "kek";

/// All kinds of this crate.
pub const ALL: &[&str] = &[APP, API_KEY, VAULT, SECRET, KEK];
