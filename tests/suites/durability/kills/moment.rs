//! The moments at which a kill can leave something half done, by name.
//!
//! What a killed process leaves behind is decided by the system calls that it made. So a moment is a place before one of
//! them, and strace ends the process there: exactly there, in the binary as it is shipped. Nothing in the program knows of
//! it, and there is nothing that a build could leave on.

use std::fmt;
use std::process::Command;

use super::chance::Chance;
use super::site::Pace;
use crate::strace::under_strace;

/// A moment in the life of a write.
#[derive(Clone, Copy)]
pub enum Moment {
    /// Some of the pages of a commit are in the log.
    BeforeAPageIsLogged,
    /// All of a commit is in the log, and not on the disk.
    BeforeACommitIsDurable,
    /// It is on the disk, and nobody has heard of it.
    BeforeACommitIsAcknowledged,
    /// Some of the pages of the log are in the database.
    BeforeAPageIsCopied,
    /// All of them are, and not on the disk.
    BeforeCopiesAreDurable,
    /// The log is of no use any more, and still there.
    BeforeTheLogIsCut,
}

impl Moment {
    pub const ALL: [Self; 6] = [
        Self::BeforeAPageIsLogged,
        Self::BeforeACommitIsDurable,
        Self::BeforeACommitIsAcknowledged,
        Self::BeforeAPageIsCopied,
        Self::BeforeCopiesAreDurable,
        Self::BeforeTheLogIsCut,
    ];

    /// The system call, of which file, and how many of them there may be before.
    fn call(self) -> (&'static str, Option<&'static str>, u64) {
        match self {
            Self::BeforeAPageIsLogged => ("pwrite64", Some("tavora.db-wal"), 100),
            Self::BeforeACommitIsDurable => ("fsync,fdatasync", Some("tavora.db-wal"), 20),
            Self::BeforeACommitIsAcknowledged => ("writev,sendto", None, 20),
            Self::BeforeAPageIsCopied => ("pwrite64", Some("tavora.db"), 12),
            Self::BeforeCopiesAreDurable => ("fsync,fdatasync", Some("tavora.db"), 2),
            Self::BeforeTheLogIsCut => ("ftruncate", Some("tavora.db-wal"), 2),
        }
    }

    /// How clients must write for it to come: the log is emptied when nobody writes for a while.
    pub fn pace(self) -> Pace {
        match self {
            Self::BeforeAPageIsLogged
            | Self::BeforeACommitIsDurable
            | Self::BeforeACommitIsAcknowledged => Pace::Steady,
            Self::BeforeAPageIsCopied | Self::BeforeCopiesAreDurable | Self::BeforeTheLogIsCut => {
                Pace::Bursts
            }
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
            Self::BeforeAPageIsLogged => "before a page is logged",
            Self::BeforeACommitIsDurable => "before a commit is durable",
            Self::BeforeACommitIsAcknowledged => "before a commit is acknowledged",
            Self::BeforeAPageIsCopied => "before a page is copied",
            Self::BeforeCopiesAreDurable => "before copies are durable",
            Self::BeforeTheLogIsCut => "before the log is cut",
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
