//! Runs root's commands on another user's data with that user's rights. Files made by root would
//! lock that user out, and root must not trust the content of the folder.
//!
//! systemd's `DynamicUser=` puts the data folder below a folder that only root may enter, and the
//! user need not exist while the service is stopped. So the owner is known by its id only. The
//! folder is made reachable as systemd does it for the service, in a mount namespace of this
//! process.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid, setuid};

/// The user who owns the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub user: u32,
    group: u32,
}

impl Owner {
    /// Returns the user that root has to become for this folder and database. Returns `None` if the
    /// process is not root, or if the data belongs to root.
    pub(crate) fn to_become(folder: &Path, database: Option<&Path>) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let of = |found: &Metadata| Self {
            user: found.uid(),
            group: found.gid(),
        };
        let found = folder
            .metadata()
            .or_else(|error| {
                let parent = database.and_then(Path::parent);
                parent.map_or(Err(error), Path::metadata)
            })
            .ok()?;
        if found.uid() != 0 {
            return Some(of(&found));
        }
        // A mounted volume may belong to root and a group, while its files belong to the user.
        let file = database?.metadata().ok()?;
        let is_volume = found.mode() & 0o020 != 0 && found.gid() == file.gid();
        (is_volume && file.uid() != 0).then(|| of(&file))
    }

    /// Takes this user's rights for good, and makes `folder` reachable for the user. Must be called
    /// while the process has only one thread.
    ///
    /// # Errors
    /// The system refuses it.
    pub(crate) fn become_for(self, folder: &Path) -> io::Result<()> {
        if let Some(blocked) = self.blocked_at(folder)? {
            open_way(folder, &blocked)?;
        }
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        match setuid(Uid::from_raw(0)) {
            Err(_) => Ok(()),
            Ok(()) => Err(io::Error::other("root's rights could be taken back")),
        }
    }

    /// Returns the topmost folder above `folder` that this user may not enter.
    fn blocked_at(self, folder: &Path) -> io::Result<Option<PathBuf>> {
        let above: Vec<&Path> = folder.ancestors().skip(1).collect();
        for path in above.into_iter().rev() {
            if !self.may_pass(&path.metadata()?) {
                return Ok(Some(path.to_owned()));
            }
        }
        Ok(None)
    }

    fn may_pass(self, found: &Metadata) -> bool {
        let search = match () {
            () if found.uid() == self.user => 0o100,
            () if found.gid() == self.group => 0o010,
            () => 0o001,
        };
        found.mode() & search != 0
    }
}

/// Mounts an empty folder over `blocked`, and `folder` inside of it, visible to this process only.
fn open_way(folder: &Path, blocked: &Path) -> io::Result<()> {
    const NOTHING: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(
        NOTHING,
        "/",
        NOTHING,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        NOTHING,
    )?;
    // Opened only now, because a folder from another mount namespace cannot be bound.
    let data = File::open(folder)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(
        Some("tmpfs"),
        blocked,
        Some("tmpfs"),
        flags,
        Some("mode=0755"),
    )?;
    std::fs::create_dir_all(folder)?;
    for path in folder.ancestors().take_while(|path| *path != blocked) {
        // The mode must not depend on root's umask.
        std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    let source = format!("/proc/self/fd/{}", data.as_raw_fd());
    mount(
        Some(source.as_str()),
        folder,
        NOTHING,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NOTHING,
    )?;
    Ok(())
}
