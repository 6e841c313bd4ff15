//! The state of a walk over all secrets, as the page, the API and the metrics show it.

use jiff::Timestamp;
use serde::Serialize;
use vault_core::{KekId, RewrapProgress, UnreadableSecret};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkState {
    /// No walk began since the host started.
    #[default]
    Idle,
    /// The walk is in progress.
    Running,
    /// All secrets are done.
    Complete,
    /// Some secrets do not open and are unchanged.
    Incomplete,
    /// The host was stopped during the walk.
    Stopped,
    /// A KEK provider or the store failed.
    Failed,
}

/// The current walk, or the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WalkView {
    pub state: WalkState,
    /// `rewrap` or `verify`.
    pub work: Option<&'static str>,
    /// The KEK that a rewrap moves secrets to.
    pub to: Option<KekId>,
    /// The counts so far.
    #[serde(flatten)]
    pub progress: RewrapProgress,
    /// After the end: the first of the secrets that do not open.
    pub unreadable_secrets: Vec<UnreadableSecret>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Why the walk failed.
    pub error: Option<String>,
}
