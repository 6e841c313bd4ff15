//! What the upstreams have in common.

/// What an agent says to have the credential given back.
pub(super) const ECHO: &str = "echo please";
