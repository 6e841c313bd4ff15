//! A file with one credential that only its owner may read. It is written once, never partially,
//! and never over an existing file.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{NamedTempFile, PersistError};
use vault_core::{Credential, Rights};
use zeroize::Zeroizing;

use super::outcome::{Failure, Outcome, usage};

/// Makes `path` with this content and a line ending. An existing file is an error.
pub(crate) fn make(path: &Path, content: &str) -> Outcome {
    if try_make(path, content)? {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} exists already; take another name, or move it away",
        path.display()
    )))
}

/// Like [`make`], but returns `false` if the file exists, and leaves that file unchanged.
pub(crate) fn try_make(path: &Path, content: &str) -> Result<bool, Failure> {
    let refused = |error| usage(format!("cannot make {}: {error}", path.display()));
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Written to a temporary file and then linked into place, so that nobody sees an empty or
    // partial file.
    let mut file = NamedTempFile::new_in(folder).map_err(refused)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o600))
        .map_err(refused)?;
    file.write_all(content.as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            File::open(folder)?.sync_all()?;
            Ok(true)
        }
        Err(PersistError { error, .. }) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(PersistError { error, .. }) => Err(refused(error)),
    }
}

/// Reads a private file. Only its owner may have rights to it, and also a group of this process,
/// because Kubernetes mounts files that way.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let found = path.metadata();
    let rights = Rights::of(
        &found.map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?,
    );
    let is_own_groups = rights.is_ours() && rights.group_is_ours();
    if rights.has_others() || rights.has_group() && !is_own_groups {
        return Err(Failure::Usage(format!(
            "other users have rights to {0}; `chmod 600 {0}` ends that, and a credential that they may have read should be replaced",
            path.display()
        )));
    }
    Ok(Credential::read_file(path).map_err(usage)?.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_owners_alone_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("credential");
        assert!(try_make(&path, "first").is_ok_and(|made| made));
        let mode = path.metadata().expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(try_make(&path, "second").is_ok_and(|made| !made));
        assert!(matches!(make(&path, "third"), Err(Failure::Usage(_))));
        assert!(read(&path).is_ok_and(|text| *text == "first"));
        let left = folder.path().read_dir().expect("readable").count();
        assert_eq!(left, 1, "what was written beside it is gone");
    }

    #[test]
    fn one_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("credential");
        std::fs::write(&path, "exposed").expect("writable");
        let refused = |mode: u32| {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("owned");
            match read(&path) {
                Ok(text) => {
                    assert_eq!(*text, "exposed");
                    false
                }
                Err(Failure::Usage(message)) => {
                    assert!(message.contains("chmod 600") && !message.contains("exposed"));
                    true
                }
                Err(_) => panic!("{mode:o} is wrong usage"),
            }
        };
        for (mode, expected) in [
            (0o600, false),
            (0o640, false),
            (0o660, false),
            (0o604, true),
            (0o602, true),
            (0o664, true),
        ] {
            assert_eq!(refused(mode), expected, "{mode:o}");
        }
        // A group that this process does not belong to counts as everybody. Only root can make such
        // a file.
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, None, Some(54_321)).expect("root may");
            assert!(refused(0o640) && !refused(0o600));
        }
    }

    #[test]
    fn of_many_that_begin_together_one_makes_it_and_all_read_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("credential");
        let made: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|number| {
                    let path = &path;
                    scope.spawn(move || {
                        let text = format!("credential-of-{number}");
                        let Ok(made) = try_make(path, &text) else {
                            panic!("the folder is writable");
                        };
                        let Ok(read) = read(path) else {
                            panic!("it is there");
                        };
                        assert!(read.starts_with("credential-of-"), "half of it was read");
                        assert!(!made || *read == text);
                        usize::from(made)
                    })
                })
                .collect();
            all.into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum()
        });
        assert_eq!(made, 1);
    }
}
