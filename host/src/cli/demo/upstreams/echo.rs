//! Parts that the upstreams share.

/// The text that makes an upstream return the credential.
pub(super) const ECHO: &str = "echo please";
