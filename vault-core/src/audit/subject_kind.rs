//! The kinds of things that this crate records something about. A host may add its own.

/// An app.
pub const APP: &str = "app";
/// An API key.
pub const API_KEY: &str = "api_key";
/// A vault.
pub const VAULT: &str = "vault";
/// A secret; its subject id is `<vault id>/<name>`, or the name alone where no vault is designated.
pub const SECRET: &str = "secret";
/// A KEK.
pub const KEK: &str = "kek";

/// All of them.
pub const ALL: &[&str] = &[APP, API_KEY, VAULT, SECRET, KEK];
