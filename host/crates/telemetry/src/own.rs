//! Which spans and lines of the log are this project's own.

use tracing::Metadata;

/// Targets that may log freely: this project's own.
const OWN_TARGETS: [&str; 2] = ["tavora_host", "vault_core"];

/// Whether this project says it, and not a library.
pub(super) fn is_own(metadata: &Metadata<'_>) -> bool {
    OWN_TARGETS.iter().any(|own| {
        let rest = metadata.target().strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}
