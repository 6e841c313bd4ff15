//! Why a component is not loaded: the bytes are no component, its class does not allow it, the
//! engine refuses it, or its worker gave no verdict.

use std::path::PathBuf;

use super::inspection::{Digest, NotAComponent, Refusal};
use super::limits::Limits;
use tavora_scrub::shown;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not a component.
    #[error(transparent)]
    NotAComponent(#[from] NotAComponent),
    /// The component has imports or exports that its class may not have.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The file is not the one that the operator listed.
    #[error("the component's digest is {found}, and tavora.toml expects {expected}")]
    DigestDiffers {
        /// The listed digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
    /// A type of an import or export is not the one in `wit/`, or the engine cannot run it.
    #[error("the component does not fit its class: {0}")]
    DoesNotFit(String),
    /// The worker that inspects and compiles gave no verdict.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The folder of compiled components cannot be used.
    #[error("the folder of compiled components cannot be used: {0}")]
    Cache(#[from] std::io::Error),
}

/// Why a worker gave no verdict on a component.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no program to start as a worker.
    #[error(
        "components that others supply are inspected in a worker, and this program cannot be started as one: set [worker] program to a tavora-host"
    )]
    None,
    /// The program could not be started.
    #[error("the worker {} does not start: {source}", program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The worker reached a limit.
    #[error(
        "inspecting and compiling the component takes more than {limit} ({allowed}) allows: make the component smaller or simpler, or raise the limit"
    )]
    Limit {
        /// The limit's key in `tavora.toml`.
        limit: &'static str,
        /// The limit's value, in the unit of the key.
        allowed: u64,
    },
    /// The worker stopped for another reason.
    #[error("the worker that compiles the component stopped unexpectedly: {0}")]
    Stopped(String),
    /// The worker's program has another version than the host.
    #[error("the worker {} is of another version, {found} and not {expected}", program.display())]
    OtherVersion {
        /// The program.
        program: PathBuf,
        /// The host's version.
        expected: &'static str,
        /// The worker's version.
        found: String,
    },
    /// The caller no longer waits for the verdict.
    #[error("the component is no longer wanted")]
    Abandoned,
}

impl WorkerError {
    pub(super) fn limit(limit: &'static str, allowed: u64) -> Self {
        Self::Limit { limit, allowed }
    }
}

/// Describes why the engine refuses a component, with the limit's key if there is one.
pub(super) fn unfit_words(error: &wasmtime::Error, limits: &Limits) -> String {
    // wasmtime has no types for these errors.
    let words = error.root_cause().to_string();
    let over = |what: &str, key: &str, allowed: u32| {
        format!(
            "it has more {what} than {key} ({allowed}) allows: compose it of fewer or raise the limit"
        )
    };
    let is_about = |part: &str| words.contains(part);
    if is_about("core module instances") {
        let key = "limits.max_core_instances";
        over("core instances", key, limits.max_core_instances)
    } else if is_about("defined memories count") || is_about("Wasm linear memories") {
        over("memories", "limits.max_memories", limits.max_memories)
    } else if is_about("defined tables count") || is_about("contains") && is_about(" tables") {
        over("tables", "limits.max_tables", limits.max_tables)
    } else {
        shown::visible(&format!("{error:#}"))
    }
}
