//! The rights that a file's or folder's mode gives to whom.
//!
//! The module that opens the file decides whether to refuse, report or ignore them. All callers ask
//! here, so that one mode means the same for every file of a host.

use std::{
    collections::BTreeSet,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::{
    sys::statvfs::{FsFlags, statvfs},
    unistd::{Gid, getegid, geteuid, getgroups},
};

/// The rights to one file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    mode: u32,
    owner: u32,
    group: u32,
}

impl Rights {
    /// Reads the rights from a file's metadata.
    pub fn of(found: &Metadata) -> Self {
        Self {
            mode: found.mode() & 0o777,
            owner: found.uid(),
            group: found.gid(),
        }
    }

    /// The user id of the owner.
    pub fn owner(self) -> u32 {
        self.owner
    }

    /// Returns the same rights with another owner, because only root can make such a file.
    #[cfg(test)]
    pub(crate) fn with_owner(self, owner: u32) -> Self {
        Self { owner, ..self }
    }

    /// The id of the group.
    pub fn group(self) -> u32 {
        self.group
    }

    /// Whether this user or root owns the file or folder.
    pub fn is_ours(self) -> bool {
        self.owner == 0 || self.owner == geteuid().as_raw()
    }

    /// Whether its group is one of this process's groups. Kubernetes gives a volume such a group
    /// (`fsGroup`).
    pub fn group_is_ours(self) -> bool {
        let group = Gid::from_raw(self.group);
        getegid() == group || getgroups().is_ok_and(|groups| groups.contains(&group))
    }

    /// Whether the group has any right.
    pub fn has_group(self) -> bool {
        self.mode & 0o070 != 0
    }

    /// Whether everybody has any right.
    pub fn has_others(self) -> bool {
        self.mode & 0o007 != 0
    }

    /// Whether the group may write.
    pub fn group_writes(self) -> bool {
        self.mode & 0o020 != 0
    }

    /// Whether everybody may write to `path`. On a read-only file system nobody may. Kubernetes
    /// mounts the volume of a ConfigMap so, with the mode 0777.
    pub fn others_write(self, path: &Path) -> bool {
        let is_read_only =
            || statvfs(path).is_ok_and(|mounted| mounted.flags().contains(FsFlags::ST_RDONLY));
        self.mode & 0o002 != 0 && !is_read_only()
    }

    /// The mode in octal digits.
    pub fn octal(self) -> String {
        format!("{:03o}", self.mode)
    }

    /// Whether these rights to `path` were not reported yet. A file that is read every second is
    /// not reported every second, and a folder whose group may write is reported once for all that
    /// is in it.
    pub fn is_news(self, path: &Path) -> bool {
        static TOLD: Mutex<Told> = Mutex::new(Told {
            paths: BTreeSet::new(),
            shared: BTreeSet::new(),
        });
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut folders = path.ancestors().skip(1);
        let is_covered = !self.has_others()
            && folders.any(|folder| told.shared.contains(&(folder.to_owned(), self.group)));
        if is_covered || !told.paths.insert((path.clone(), self.mode)) {
            return false;
        }
        if self.group_writes() && path.is_dir() {
            told.shared.insert((path, self.group));
        }
        true
    }
}

/// The rights that were reported.
struct Told {
    paths: BTreeSet<(PathBuf, u32)>,
    /// Folders that a group may write to, with that group.
    shared: BTreeSet<(PathBuf, u32)>,
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_folder_of_a_group_is_news_once_for_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let rights = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            Rights::of(&fs::metadata(path).unwrap())
        };
        let (file, inner) = (folder.path().join("file"), folder.path().join("inner"));
        fs::write(&file, "").unwrap();
        fs::create_dir(&inner).unwrap();
        assert!(rights(&inner, 0o750).is_news(&inner));
        assert!(rights(folder.path(), 0o770).is_news(folder.path()));
        assert!(!rights(folder.path(), 0o770).is_news(folder.path()));
        assert!(!rights(&file, 0o660).is_news(&file));
        assert!(!rights(&inner, 0o770).is_news(&inner));
        // A file that everybody may read is reported in any case.
        assert!(rights(&file, 0o664).is_news(&file));
    }

    #[test]
    fn each_class_of_users_is_told_apart() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rights = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            Rights::of(&file.path().metadata().unwrap())
        };
        for (mode, group, others, group_writes, others_write) in [
            (0o600, false, false, false, false),
            (0o640, true, false, false, false),
            (0o660, true, false, true, false),
            (0o604, false, true, false, false),
            (0o602, false, true, false, true),
        ] {
            let found = rights(mode);
            assert_eq!(found.has_group(), group, "{mode:o}");
            assert_eq!(found.has_others(), others, "{mode:o}");
            assert_eq!(found.group_writes(), group_writes, "{mode:o}");
            assert_eq!(found.others_write(file.path()), others_write, "{mode:o}");
            assert!(found.is_ours(), "this test made the file");
        }
    }

    #[test]
    fn rights_are_news_once_for_each_file_and_mode() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rights = Rights::of(&file.path().metadata().unwrap());
        assert!(rights.is_news(file.path()));
        assert!(!rights.is_news(file.path()));
        assert!(rights.is_news(&file.path().with_extension("other")));
    }
}
