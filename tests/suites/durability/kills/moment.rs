//! Named moments at which a kill can leave something half done.
//!
//! The system calls of a killed process determine what it leaves behind. So a moment is a place
//! before a system call. strace ends the process exactly there, in the binary as it is shipped. The
//! program itself knows nothing of it, so no build can leave it switched on.

use std::fmt;
use std::process::Command;

use super::chance::Chance;
use super::pace::Pace;
use crate::strace::under_strace;

/// A moment in the life of a write, named after what the kill prevents.
#[derive(Clone, Copy)]
pub enum Moment {
    /// Some pages of a commit are in the log.
    PageIsLogged,
    /// A whole commit is in the log, but not yet on the disk.
    CommitIsDurable,
    /// The commit is on the disk, but no answer was sent.
    CommitIsAcknowledged,
    /// Some pages of the log are in the database.
    PageIsCopied,
    /// All pages are in the database, but not yet on the disk.
    CopiesAreDurable,
    /// The log is no longer needed, but still there.
    LogIsCut,
}

impl Moment {
    pub const ALL: [Self; 6] = [
        Self::PageIsLogged,
        Self::CommitIsDurable,
        Self::CommitIsAcknowledged,
        Self::PageIsCopied,
        Self::CopiesAreDurable,
        Self::LogIsCut,
    ];

    /// The system call, its file, and how many of the first such calls to choose from.
    fn call(self) -> (&'static str, Option<&'static str>, u64) {
        match self {
            Self::PageIsLogged => ("pwrite64", Some("tavora.db-wal"), 100),
            Self::CommitIsDurable => ("fsync,fdatasync", Some("tavora.db-wal"), 20),
            Self::CommitIsAcknowledged => ("writev,sendto", None, 20),
            Self::PageIsCopied => ("pwrite64", Some("tavora.db"), 12),
            Self::CopiesAreDurable => ("fsync,fdatasync", Some("tavora.db"), 2),
            Self::LogIsCut => ("ftruncate", Some("tavora.db-wal"), 2),
        }
    }

    /// The pace of clients that makes the moment come. The log is emptied when nobody writes for a
    /// while.
    pub fn pace(self) -> Pace {
        match self {
            Self::PageIsLogged | Self::CommitIsDurable | Self::CommitIsAcknowledged => Pace::Steady,
            Self::PageIsCopied | Self::CopiesAreDurable | Self::LogIsCut => Pace::Bursts,
        }
    }

    /// Chooses one of the times that the moment comes.
    pub fn at(self, chance: &mut Chance) -> Deadly {
        let (_, _, most) = self.call();
        Deadly {
            moment: self,
            time: 1 + chance.below(most),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PageIsLogged => "before a page is logged",
            Self::CommitIsDurable => "before a commit is durable",
            Self::CommitIsAcknowledged => "before a commit is acknowledged",
            Self::PageIsCopied => "before a page is copied",
            Self::CopiesAreDurable => "before copies are durable",
            Self::LogIsCut => "before the log is cut",
        })
    }
}

/// A moment that ends the process when it comes for the chosen time.
#[derive(Clone, Copy)]
pub struct Deadly {
    moment: Moment,
    time: u64,
}

impl Deadly {
    /// Returns the same command, ended at this moment.
    pub fn under(self, command: &Command) -> Command {
        let (call, file, _) = self.moment.call();
        let fault = format!("signal=SIGKILL:when={}", self.time);
        under_strace(command, call, file, &fault)
    }
}
