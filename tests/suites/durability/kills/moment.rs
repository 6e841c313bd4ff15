//! The moments at which a kill can leave something half done, by name.
//!
//! What a killed process leaves behind is decided by the system calls that it made. So a moment is a place before one of
//! them, and strace ends the process there: exactly there, in the binary as it is shipped. Nothing in the program knows of
//! it, and there is nothing that a build could leave on.

use std::fmt;
use std::process::Command;

use super::chance::Chance;
use super::pace::Pace;
use crate::strace::under_strace;

/// A moment in the life of a write: what is about to happen, and does not any more.
#[derive(Clone, Copy)]
pub enum Moment {
    /// Some of the pages of a commit are in the log.
    PageIsLogged,
    /// All of a commit is in the log, and not on the disk.
    CommitIsDurable,
    /// It is on the disk, and nobody has heard of it.
    CommitIsAcknowledged,
    /// Some of the pages of the log are in the database.
    PageIsCopied,
    /// All of them are, and not on the disk.
    CopiesAreDurable,
    /// The log is of no use any more, and still there.
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

    /// The system call, of which file, and how many of them there may be before.
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

    /// How clients must write for it to come: the log is emptied when nobody writes for a while.
    pub fn pace(self) -> Pace {
        match self {
            Self::PageIsLogged | Self::CommitIsDurable | Self::CommitIsAcknowledged => Pace::Steady,
            Self::PageIsCopied | Self::CopiesAreDurable | Self::LogIsCut => Pace::Bursts,
        }
    }

    /// One of the times that it comes.
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

/// A moment that ends the process when it comes for a certain time.
#[derive(Clone, Copy)]
pub struct Deadly {
    moment: Moment,
    time: u64,
}

impl Deadly {
    /// The same command, which ends there.
    pub fn under(self, command: &Command) -> Command {
        let (call, file, _) = self.moment.call();
        let fault = format!("signal=SIGKILL:when={}", self.time);
        under_strace(command, call, file, &fault)
    }
}
