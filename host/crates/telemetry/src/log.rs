//! The log of the process: to stderr, as text or JSON, filtered by `RUST_LOG`.
//!
//! Some libraries handle credentials (HTTP, TLS, the WebAssembly runtime's bindings). They never
//! log below `info`, whatever `RUST_LOG` says: at `trace` they write out headers.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::own::is_own;
use super::traces::Traces;

/// Starts logging and, if there are `traces`, their export. `TAVORA_LOG_FORMAT=json` makes each
/// line a JSON object.
pub fn start(default_level: &str, traces: Option<&Traces>) {
    // That library also returns each problem that it logs as an error.
    let default = format!("{default_level},rustls_platform_verifier=off");
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let json = std::env::var("TAVORA_LOG_FORMAT").is_ok_and(|format| format == "json");
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colour);
    let lines = match json {
        // The list of spans includes the current one.
        true => lines.json().with_current_span(false).boxed(),
        false => lines.boxed(),
    };
    let lines = lines
        .with_filter(wanted)
        .with_filter(FilterFn::new(is_quiet_enough));
    tracing_subscriber::registry()
        .with(lines)
        .with(traces.map(Traces::layer))
        .init();
}

/// Runs `work` before [`start`], with its warnings on stderr.
pub fn early<T>(work: impl FnOnce() -> T) -> T {
    let lines = fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_max_level(Level::WARN);
    tracing::subscriber::with_default(lines.finish(), work)
}

fn is_quiet_enough(metadata: &Metadata<'_>) -> bool {
    is_own(metadata) || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use super::super::written::Written;
    use super::*;

    #[test]
    fn libraries_are_quiet_below_info_whatever_is_wanted() {
        let written = Written::default();
        let lines = fmt::layer()
            .with_ansi(false)
            .with_writer(written.clone())
            .with_filter(EnvFilter::new("trace"))
            .with_filter(FilterFn::new(is_quiet_enough));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::trace!(target: "hyper::proto", "of-a-library");
            tracing::debug!(target: "wasmtime_wasi_http", "of-a-library");
            tracing::debug!(target: "tavora_host_lookalike", "of-a-library");
            tracing::info!(target: "rustls", "library-info");
            tracing::trace!(target: "tavora_host::dispatch", "own-trace");
            tracing::trace!(target: "vault_core", "core-trace");
        });
        let text = written.text();
        assert!(!text.contains("of-a-library"), "{text}");
        for kept in ["library-info", "own-trace", "core-trace"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
