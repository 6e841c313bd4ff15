//! A file that the user named on the command line, read with that user's rights.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// The path, and the open file if it was opened before the process took another user's rights.
#[derive(Clone, Debug)]
pub(crate) struct InputFile {
    path: PathBuf,
    opened: Option<Arc<File>>,
}

impl From<OsString> for InputFile {
    fn from(path: OsString) -> Self {
        Self {
            path: path.into(),
            opened: None,
        }
    }
}

impl InputFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file early. An error is reported when the file is read.
    pub(crate) fn open_early(&mut self) {
        self.opened = self.open_without_waiting().ok().map(Arc::new);
    }

    /// Opens the file. For a pipe this waits for a writer.
    pub(crate) fn open(&self) -> io::Result<File> {
        match &self.opened {
            Some(file) => file.try_clone(),
            None => File::open(&self.path),
        }
    }

    /// Like [`Self::open`], without waiting: a pipe that has no writer is empty.
    pub(crate) fn open_without_waiting(&self) -> io::Result<File> {
        if let Some(file) = &self.opened {
            return file.try_clone();
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path)?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok(file)
    }
}
