//! Checks the folders on the way to a file that decides what the host does. A user who can write to
//! one of them can replace the file, however private the file itself is.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use crate::rights::Rights;

/// The way in which other users can replace a file.
#[derive(Debug, thiserror::Error)]
pub enum ExposedFolder {
    /// Every user can write to a folder on the way.
    #[error(
        "the folder {0} can be written by every user, who can so replace {1}; `chmod go-w {0}` ends that", folder.display(), path.display()
    )]
    WritableByAll {
        /// The folder that every user can write to.
        folder: PathBuf,
        /// The path of the file that was checked.
        path: PathBuf,
    },
    /// Somebody else owns a folder on the way.
    #[error(
        "the folder {} belongs to another user (id {owner}), who can so replace {}; move it to a folder of this user or of root", folder.display(), path.display()
    )]
    OfAnother {
        /// The folder of the other user.
        folder: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The path of the file that was checked.
        path: PathBuf,
    },
    /// The next entry on the way belongs to another user and lies in a folder for everyone, such as
    /// `/tmp`.
    #[error(
        "{} belongs to another user (id {owner}) and lies in {}, where every user may put something; move it to a folder of this user or of root", entry.display(), folder.display()
    )]
    InShared {
        /// The entry of the other user.
        entry: PathBuf,
        /// The folder in which every user may create files.
        folder: PathBuf,
        /// The user id of the entry's owner.
        owner: u32,
    },
}

impl ExposedFolder {
    /// Returns the folder in which others can write.
    pub fn folder(&self) -> &Path {
        match self {
            Self::WritableByAll { folder, .. }
            | Self::OfAnother { folder, .. }
            | Self::InShared { folder, .. } => folder,
        }
    }
}

/// Refuses a path if every user, or a user who owns neither the process nor the file, can replace
/// the file. Logs a warning once for folders that a group can write to, and for folders of another
/// user who also owns the file.
///
/// A folder that cannot be examined is skipped: the file cannot be read either, and its reader
/// reports that.
///
/// # Errors
/// Fails if other users can replace the file.
pub fn check_folders(path: &Path) -> Result<(), ExposedFolder> {
    let Some(steps) = steps(path) else {
        return Ok(());
    };
    let file_owner = steps.last().map_or(0, |last| last.rights.owner());
    // A user who can write to a folder decides about everything below it, so only the topmost one
    // is reported.
    let mut told = BTreeSet::new();
    for step in &steps {
        step.check(path, file_owner)?;
        let rights = step.folder_rights;
        let decides = if !step.is_owned() {
            "this folder belongs to another user, as the file does"
        } else if step.is_the_groups() {
            "its group can write to this folder"
        } else {
            continue;
        };
        let who = (step.is_owned(), rights.owner(), rights.group());
        if told.insert(who) && rights.is_news(&step.folder) {
            tracing::warn!(folder = %step.folder.display(), mode = rights.octal(), file = %path.display(), "{decides}, and so decides what the file is");
        }
    }
    Ok(())
}

/// One folder on the way, and the name to look up in it.
struct Step {
    folder: PathBuf,
    folder_rights: Rights,
    is_sticky: bool,
    entry: PathBuf,
    /// The rights of the entry itself, if the entry is a symbolic link.
    rights: Rights,
}

impl Step {
    fn check(&self, path: &Path, file_owner: u32) -> Result<(), ExposedFolder> {
        let Self { folder, entry, .. } = self;
        let owner = self.folder_rights.owner();
        if !self.is_owned() && owner != file_owner {
            return Err(ExposedFolder::OfAnother {
                folder: folder.clone(),
                owner,
                path: path.into(),
            });
        }
        if self.folder_rights.others_write(folder) {
            if !self.is_sticky {
                return Err(ExposedFolder::WritableByAll {
                    folder: folder.clone(),
                    path: path.into(),
                });
            }
            if !self.rights.is_ours() && !is_unmapped(self.rights.owner()) {
                return Err(ExposedFolder::InShared {
                    entry: entry.clone(),
                    folder: folder.clone(),
                    owner: self.rights.owner(),
                });
            }
        }
        Ok(())
    }

    /// Whether the folder belongs to this user or to root, as far as the user ids can tell.
    fn is_owned(&self) -> bool {
        self.folder_rights.is_ours() || is_unmapped(self.folder_rights.owner())
    }

    fn is_the_groups(&self) -> bool {
        self.folder_rights.group_writes() && !self.is_sticky
    }
}

/// Limits the symbolic links on a path, as Linux does.
const MAX_LINKS: usize = 40;

/// Returns the steps of a path from the root, through symbolic links. Returns `None` if a step
/// cannot be examined.
fn steps(path: &Path) -> Option<Vec<Step>> {
    let mut at = PathBuf::from("/");
    let mut left = names(&std::path::absolute(path).ok()?);
    let mut links = 0;
    let mut steps = Vec::new();
    while let Some(name) = left.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let entry = at.join(name);
        let folder = fs::metadata(&at).ok()?;
        let found = fs::symlink_metadata(&entry).ok()?;
        steps.push(Step {
            folder: at.clone(),
            folder_rights: Rights::of(&folder),
            is_sticky: folder.mode() & 0o1000 != 0,
            entry: entry.clone(),
            rights: Rights::of(&found),
        });
        if !found.is_symlink() {
            at = entry;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        let target = fs::read_link(&entry).ok()?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        left.extend(names(&target));
    }
    Some(steps)
}

/// Returns the names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<_> = named.collect();
    names.reverse();
    names
}

/// Whether the id stands for all users that this process's user namespace does not map. Root of the
/// machine is among them, so such an id cannot tell who owns a folder.
fn is_unmapped(owner: u32) -> bool {
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u32>().ok();
    if number("/proc/sys/fs/overflowuid") != Some(owner) {
        return false;
    }
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mapped = map.lines().filter_map(|line| {
        let count = line.split_whitespace().nth(2)?;
        count.parse::<u64>().ok()
    });
    mapped.sum::<u64>() < u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Creates a file two folders deep. Returns the temporary folder and the three paths.
    fn nested() -> (tempfile::TempDir, [PathBuf; 3]) {
        let folder = tempfile::tempdir().unwrap();
        let outer = folder.path().join("outer");
        let inner = outer.join("inner");
        fs::create_dir_all(&inner).unwrap();
        let file = inner.join("file");
        fs::write(&file, "").unwrap();
        for folder in [&outer, &inner] {
            set(folder, 0o755);
        }
        (folder, [outer, inner, file])
    }

    #[test]
    fn every_folder_on_the_way_counts_and_is_named() {
        let (_folder, [outer, inner, file]) = nested();
        check_folders(&file).expect("only this user can write");
        for exposed in [&outer, &inner] {
            for (mode, is_fine) in [
                (0o700, true),
                (0o775, true),
                (0o2775, true),
                (0o777, false),
                (0o702, false),
                // In a folder like /tmp, only its owner can replace a file.
                (0o1777, true),
            ] {
                set(exposed, mode);
                let checked = check_folders(&file);
                assert_eq!(checked.is_ok(), is_fine, "{mode:o}: {checked:?}");
                if let Err(error) = checked {
                    let words = format!("`chmod go-w {}`", exposed.display());
                    assert!(error.to_string().contains(&words), "{error}");
                }
            }
            set(exposed, 0o755);
        }
        check_folders(&file).expect("only this user can write");
        check_folders(&file.join("nothing")).expect("its reader tells of it");
    }

    #[test]
    fn the_folders_of_links_and_of_what_they_lead_to_count() {
        let (_folder, [outer, _, file]) = nested();
        let other = tempfile::tempdir().unwrap();
        let (first, second) = (other.path().join("first"), other.path().join("second"));
        fs::create_dir(&second).unwrap();
        symlink(&outer, second.join("link")).unwrap();
        symlink("second/link/inner/../inner", &first).unwrap();
        let path = first.join("file");
        check_folders(&path).expect("only this user can write");
        for exposed in [other.path(), &second, &outer] {
            set(exposed, 0o777);
            let error = check_folders(&path).expect_err("a folder of the way is open");
            let words = format!("the folder {} can be", exposed.display());
            assert!(error.to_string().contains(&words), "{error}");
            set(exposed, 0o755);
        }
        symlink("loop", other.path().join("loop")).unwrap();
        check_folders(&other.path().join("loop")).expect("its reader tells of it");
        check_folders(&file).expect("only this user can write");
    }

    #[test]
    fn a_folder_of_another_user_is_named_unless_the_file_is_theirs() {
        let rights = |path: &Path| Rights::of(&fs::metadata(path).unwrap());
        let (_folder, [outer, _, file]) = nested();
        let step = |folder: Rights, is_sticky, entry: Rights| Step {
            folder: outer.clone(),
            folder_rights: folder,
            is_sticky,
            entry: file.clone(),
            rights: entry,
        };
        let own = rights(&outer);
        let another = own.with_owner(own.owner() + 4_711);
        let error = step(another, false, own).check(&file, own.owner());
        let error = error.expect_err("it is another's").to_string();
        let words = format!("{} belongs to another user (id ", outer.display());
        assert!(error.contains(&words), "{error}");
        let theirs = step(another, false, another).check(&file, another.owner());
        theirs.expect("the file is theirs as well");
        set(&outer, 0o1777);
        let shared = rights(&outer);
        step(shared, true, own).check(&file, 0).expect("it is ours");
        let error = step(shared, true, another).check(&file, another.owner());
        let error = error.expect_err("anybody could have put it there");
        assert!(matches!(error, ExposedFolder::InShared { .. }), "{error}");
    }
}
