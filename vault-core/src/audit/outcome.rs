//! How what was recorded ended.

/// It was done.
pub const OK: &str = "ok";
/// A release that was authorised; a time limit can still have stopped the call behind it.
pub const AUTHORISED: &str = "authorised";
/// A release was refused because the app designates no vault.
pub const NO_VAULT_DESIGNATED: &str = "no_vault_designated";
/// What it was about is not there.
pub const NOT_FOUND: &str = "not_found";
/// Some of it was done, and what could not be was left as it was.
pub const INCOMPLETE: &str = "incomplete";
/// It was stopped before its end.
pub const STOPPED: &str = "stopped";
/// It failed before its end.
pub const FAILED: &str = "failed";
/// It was refused.
pub const DENIED: &str = "denied";
