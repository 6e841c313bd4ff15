//! Nothing acknowledged is lost: backups and their way back, databases of released versions, processes that are killed at
//! any moment, and disks that refuse. Against the real binary and real files.
//!
//! What one process alone promises of its store is in the suite `vault`.

mod backup;
mod faults;
mod folder;
mod golden;
mod kills;
mod strace;
