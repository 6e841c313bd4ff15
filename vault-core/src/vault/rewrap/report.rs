//! The reports of a rewrap and of opening all secrets: figures, outcome, and the secrets that do
//! not open.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    audit::outcome,
    id::{AppId, VaultId},
    key::KekId,
};

/// Limits the secrets that do not open and that a report names. The rest are only counted.
pub const UNREADABLE_NAMED_MAX: usize = 1000;

/// The number of secrets that a KEK wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KekRows {
    /// The id of the KEK.
    pub kek_id: KekId,
    /// The number of secrets.
    pub rows: u64,
    /// Whether the keyring holds the KEK.
    pub in_keyring: bool,
}

/// The progress of a walk over the secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RewrapProgress {
    /// The number of secrets to look at when the walk began.
    pub total: u64,
    /// The number of secrets that were looked at.
    pub seen: u64,
    /// The number of secrets that were moved, or would be in a dry run.
    pub moved: u64,
    /// Counts the times that others changed or deleted a secret in the meantime. Such secrets are
    /// looked at again.
    pub overtaken: u64,
    /// The number of secrets that do not open. They stay as they are.
    pub unreadable: u64,
}

/// The outcome of a walk over the secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RewrapOutcome {
    /// Everything was done.
    Complete,
    /// Some secrets stay as they were: they do not open, or somebody writes with another KEK.
    Incomplete,
    /// The walk was told to stop.
    Stopped,
}

/// Why a secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadableCause {
    /// The keyring lacks the KEK.
    KekMissing,
    /// The DEK does not unwrap.
    Wrap,
    /// The payload does not open.
    Payload,
    /// The content of the row is not valid.
    Row,
}

/// A secret that does not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadableSecret {
    /// The app, if the vault exists.
    pub app_id: Option<AppId>,
    /// The vault, if it can be read.
    pub vault_id: Option<VaultId>,
    /// The name, as far as it can be read.
    pub name: String,
    /// The KEK, if it can be read.
    pub kek_id: Option<KekId>,
    /// Why the secret does not open.
    pub cause: UnreadableCause,
}

/// The report of a rewrap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewrapReport {
    /// The outcome.
    pub outcome: RewrapOutcome,
    /// The KEK that secrets were moved to.
    pub to: KekId,
    /// Whether this was a dry run, which changes nothing.
    pub dry_run: bool,
    /// The number of secrets that each KEK wrapped before.
    pub before: Vec<KekRows>,
    /// The number of secrets that each KEK wraps afterwards.
    pub after: Vec<KekRows>,
    /// The figures of the walk.
    #[serde(flatten)]
    pub progress: RewrapProgress,
    /// The first secrets that do not open, at most [`UNREADABLE_NAMED_MAX`].
    pub unreadable_secrets: Vec<UnreadableSecret>,
    /// The duration of the rewrap.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// The report of opening all secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenReport {
    /// The outcome: [`RewrapOutcome::Complete`] when all secrets open.
    pub outcome: RewrapOutcome,
    /// The number of secrets that were tried.
    pub seen: u64,
    /// The number of secrets that do not open.
    pub unreadable: u64,
    /// The first of those, at most [`UNREADABLE_NAMED_MAX`].
    pub unreadable_secrets: Vec<UnreadableSecret>,
}

impl RewrapReport {
    /// Whether every secret was already under the primary KEK.
    pub fn had_nothing_to_do(&self) -> bool {
        self.progress.seen == 0 && self.outcome == RewrapOutcome::Complete
    }
}

impl fmt::Display for UnreadableCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KekMissing => "its KEK is not in the keyring",
            Self::Wrap => "its DEK does not unwrap",
            Self::Payload => "its payload does not open",
            Self::Row => "its row is damaged",
        })
    }
}

impl RewrapOutcome {
    /// The outcome in the audit's words.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Complete => outcome::OK,
            Self::Incomplete => outcome::INCOMPLETE,
            Self::Stopped => outcome::STOPPED,
        }
    }
}

fn milliseconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
