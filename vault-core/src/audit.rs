//! The audit: who did what to which thing, and with what outcome.
//!
//! An entry never holds a value, nor the length or a digest of a value. `audit::chain` chains
//! entries, `audit::row` defines how they are stored, `audit::verify` checks the chain, and `store`
//! keeps them.

pub mod action;
mod caller;
mod chain;
mod draft;
mod entry;
mod finding;
pub mod outcome;
mod row;
pub mod subject_kind;
mod verify;

pub use self::{
    caller::{Actor, Caller},
    chain::{CHAIN_NAME_MAX_CHARS, ChainHash, ChainName, InvalidChainHash, InvalidChainName},
    draft::{AuditDraft, Subject},
    entry::{AUDIT_PAGE_DEFAULT, AUDIT_PAGE_MAX, AuditBatch, AuditEntry, AuditPage, AuditQuery},
    finding::{ChainReport, FINDINGS_MAX, Finding, VerifyReport},
    row::{DamagedEntry, EntryRow},
    verify::Verifier,
};
