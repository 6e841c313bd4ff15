//! Nothing acknowledged is lost: backup and restore, databases of released versions, processes that
//! are killed at any moment, and disks that refuse. The tests use the real binary and real files.
//!
//! The suite `vault` tests what one process alone promises of its store.

mod backup;
mod faults;
mod folder;
mod golden;
mod kills;
mod strace;
