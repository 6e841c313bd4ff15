//! What a rewrap and a try of all secrets tell: figures, how they ended, and which secrets do not open.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    audit::outcome,
    id::{AppId, VaultId},
    key::KekId,
};

/// How many secrets that do not open a report names; more are only counted.
pub const UNREADABLE_NAMED_MAX: usize = 1000;

/// How many secrets a KEK wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KekRows {
    /// Which KEK.
    pub kek_id: KekId,
    /// How many secrets.
    pub rows: u64,
    /// Whether the keyring holds it.
    pub in_keyring: bool,
}

/// How far a walk over the secrets has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RewrapProgress {
    /// How many secrets there were to look at when it began.
    pub total: u64,
    /// How many were looked at.
    pub seen: u64,
    /// How many were moved, or would be in a dry run.
    pub moved: u64,
    /// How many others changed or deleted in the meantime; they are looked at again.
    pub overtaken: u64,
    /// How many do not open and were left as they are.
    pub unreadable: u64,
}

/// How a walk over the secrets ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RewrapOutcome {
    /// All that was to be done is done.
    Complete,
    /// Some secrets are left as they were: they do not open, or somebody writes with another KEK.
    Incomplete,
    /// It was told to stop.
    Stopped,
}

/// Why a secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadableCause {
    /// The keyring lacks its KEK.
    KekMissing,
    /// Its DEK does not unwrap.
    Wrap,
    /// Its payload does not open.
    Payload,
    /// Its row does not hold what it must.
    Row,
}

/// A secret that does not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadableSecret {
    /// Its app, if its vault is there.
    pub app_id: Option<AppId>,
    /// Its vault, if that can be read.
    pub vault_id: Option<VaultId>,
    /// Its name, as far as that can be read.
    pub name: String,
    /// Its KEK, if that can be read.
    pub kek_id: Option<KekId>,
    /// Why.
    pub cause: UnreadableCause,
}

/// What a rewrap did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewrapReport {
    /// How it ended.
    pub outcome: RewrapOutcome,
    /// To which KEK.
    pub to: KekId,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Which KEKs wrapped how many secrets before.
    pub before: Vec<KekRows>,
    /// And after.
    pub after: Vec<KekRows>,
    /// The figures.
    #[serde(flatten)]
    pub progress: RewrapProgress,
    /// The first of those that do not open, [`UNREADABLE_NAMED_MAX`] at the most.
    pub unreadable_secrets: Vec<UnreadableSecret>,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// What a try of all secrets found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenReport {
    /// How it ended: [`RewrapOutcome::Complete`] when all of them open.
    pub outcome: RewrapOutcome,
    /// How many secrets were tried.
    pub seen: u64,
    /// How many do not open.
    pub unreadable: u64,
    /// The first of those, [`UNREADABLE_NAMED_MAX`] at the most.
    pub unreadable_secrets: Vec<UnreadableSecret>,
}

impl RewrapReport {
    /// Whether there was nothing to move and nothing in the way.
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
    /// What the audit says.
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
