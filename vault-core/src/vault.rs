//! The one public door: every operation on apps, API keys, vaults and secrets.
//!
//! Every change takes its caller and is recorded in the transaction that makes it. Plain values
//! come in only through `put_secret` and go out only through `release` and `reopen`. The host
//! decides who may call what.

mod apps;
mod audit;
mod error;
mod kek;
mod kek_state;
mod open;
mod release;
mod rewrap;
mod secret_vaults;
mod secrets;
mod stats;
mod tally;
mod vaults;

pub use self::{
    audit::AuditExport,
    error::VaultError,
    kek::{KekStatus, KekUse},
    kek_state::KekState,
    release::{ReleaseContext, ReleaseError, Released, Unavailability},
    rewrap::{
        BatchSize, InvalidBatchSize, KekRows, OpenReport, RewrapOptions, RewrapOutcome,
        RewrapProgress, RewrapReport, UNREADABLE_NAMED_MAX, UnreadableCause, UnreadableSecret,
    },
    secret_vaults::{SecretVaults, VaultOptions},
    stats::EnvelopeStats,
};
