//! Checks the files and folders that decide what runs with credentials and where credentials go:
//! the configuration, components, agents' files, the data. Any other user who can write there
//! decides that, too.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use vault_core::{ExposedFolder, Rights, check_folders};

/// The way in which other users can change a file or folder of the operator's.
#[derive(Debug, thiserror::Error)]
pub enum Exposed {
    /// Every user can write to the file or folder.
    #[error("{0} can be written by every user; `chmod go-w {0}` ends that", path.display())]
    WritableByAll {
        /// The file or folder.
        path: PathBuf,
    },
    /// Other users can replace the file or folder.
    #[error(transparent)]
    ByFolder(#[from] ExposedFolder),
}

impl Exposed {
    /// Returns the file or folder that other users can write to.
    pub fn path(&self) -> &Path {
        match self {
            Self::WritableByAll { path } => path,
            Self::ByFolder(exposed) => exposed.folder(),
        }
    }
}

/// Checks the path as [`check`] does, and every folder on the way to it.
///
/// # Errors
/// Fails if other users can write to the path or replace it.
pub fn check_with_folders(path: &Path, found: &Metadata) -> Result<(), Exposed> {
    check_folders(path)?;
    check(path, found)
}

/// Refuses a file or folder that every user can write to. Logs a warning once if its group can.
///
/// # Errors
/// Fails if every user can write to the file or folder.
pub fn check(path: &Path, found: &Metadata) -> Result<(), Exposed> {
    let rights = Rights::of(found);
    if rights.others_write(path) {
        return Err(Exposed::WritableByAll { path: path.into() });
    }
    if rights.group_writes() && rights.is_news(path) {
        tracing::warn!(path = %path.display(), mode = rights.octal(), "its group can write to this, to a folder with all that is in it, and so decides what runs with credentials");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_every_user_can_write_to_is_refused_and_a_groups_is_not() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        for (mode, is_fine) in [(0o644, true), (0o664, true), (0o646, false), (0o666, false)] {
            set_permissions(file.path(), Permissions::from_mode(mode)).expect("our own");
            let found = file.path().metadata().expect("it is there");
            let checked = check(file.path(), &found);
            assert_eq!(checked.is_ok(), is_fine, "{mode:o}");
            if let Err(error) = checked {
                assert!(error.to_string().contains("`chmod go-w /"), "{error}");
            }
        }
    }
}
