//! Tells the spans and log lines of this project from those of libraries.

use tracing::Metadata;

/// Targets that may log at any level: the names of this project's crates.
const OWN_TARGETS: [&str; 14] = [
    "tavora_agents",
    "tavora_api",
    "tavora_egress",
    "tavora_host",
    "tavora_keks",
    "tavora_openapi",
    "tavora_platform",
    "tavora_scrub",
    "tavora_server",
    "tavora_telemetry",
    "tavora_trust",
    "tavora_ui",
    "tavora_wasm",
    "vault_core",
];

/// Whether a span or a log line comes from this project.
pub(super) fn is_own(metadata: &Metadata<'_>) -> bool {
    OWN_TARGETS.iter().any(|own| {
        let rest = metadata.target().strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_crate_of_the_host_is_own() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut seen = 0;
        for folder in crates.read_dir().expect("the crates are there") {
            let folder = folder.expect("readable").file_name();
            let target = format!("tavora_{}", folder.to_str().expect("UTF-8"));
            assert!(OWN_TARGETS.contains(&&*target), "{target} is missing");
            seen += 1;
        }
        assert!(seen > 9, "only {seen} crates were found");
    }
}
