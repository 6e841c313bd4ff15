//! The outcomes of recorded actions.

/// The action was done.
pub const OK: &str = "ok";
/// A release was authorised. A time limit can still have stopped the call behind it.
pub const AUTHORISED: &str = "authorised";
/// A release was refused because the app designates no vault.
pub const NO_VAULT_DESIGNATED: &str = "no_vault_designated";
/// The subject does not exist.
pub const NOT_FOUND: &str = "not_found";
/// A part was done. The rest is unchanged.
pub const INCOMPLETE: &str = "incomplete";
/// The work was stopped before its end.
pub const STOPPED: &str = "stopped";
/// The work failed before its end.
pub const FAILED: &str = "failed";
/// The action was refused.
pub const DENIED: &str = "denied";
