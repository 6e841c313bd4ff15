//! How a walk over all secrets stands, as everybody is told who asks: the page, the API, the
//! metrics.

use jiff::Timestamp;
use serde::Serialize;
use vault_core::{KekId, RewrapProgress, UnreadableSecret};

/// How a walk stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkState {
    /// There was none since the host started.
    #[default]
    Idle,
    /// It goes on.
    Running,
    /// All is done.
    Complete,
    /// Some secrets do not open and are as they were.
    Incomplete,
    /// The host was stopped meanwhile.
    Stopped,
    /// A KEK provider or the store did not work.
    Failed,
}

/// The walk that goes on, or the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WalkView {
    /// How it stands.
    pub state: WalkState,
    /// `rewrap` or `verify`.
    pub work: Option<&'static str>,
    /// The KEK that a rewrap moves to.
    pub to: Option<KekId>,
    /// The figures so far.
    #[serde(flatten)]
    pub progress: RewrapProgress,
    /// The first of those that do not open, once it has ended.
    pub unreadable_secrets: Vec<UnreadableSecret>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}
