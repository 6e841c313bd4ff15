//! PostgreSQL's programs, and the ordinary user who runs them: the server refuses to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

/// The folder in which Debian has a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The users that root can become. The first existing one is taken.
const ORDINARY_USERS: [&str; 3] = ["nobody", "postgres", "daemon"];

#[derive(Clone)]
pub(super) struct Installation {
    programs: PathBuf,
    /// `None` for the user who runs the tests.
    user: Option<User>,
}

impl Installation {
    /// Finds the newest installed version.
    pub fn find() -> Option<Self> {
        let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let newest = versions
            .filter(|version| version.path().join("bin/initdb").exists())
            .max_by_key(|version| version.file_name().to_str()?.parse::<u32>().ok());
        let programs = match newest {
            Some(version) => version.path().join("bin"),
            None => {
                let path = std::env::var_os("PATH")?;
                std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())?
            }
        };
        let user = Uid::effective().is_root().then(|| {
            let mut users = ORDINARY_USERS.into_iter();
            let known = users.find_map(|name| User::from_name(name).ok().flatten());
            known.expect("there is a user who is not root")
        });
        Some(Self { programs, user })
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A command that runs a program as the cluster's user, with an empty environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        command.env_clear().stdin(Stdio::null());
        // This folder is open to that user.
        command.current_dir("/");
        self.be_its_user(&mut command);
        command
    }

    /// Makes a command run as the cluster's user.
    pub fn be_its_user(&self, command: &mut Command) {
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
    }

    /// Runs a command to its end, which must be a success.
    #[track_caller]
    pub fn run(&self, command: &mut Command) {
        let ended = command.output().expect("PostgreSQL's programs start");
        assert!(
            ended.status.success(),
            "{command:?}: {}{}",
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    /// Makes a temporary folder of the cluster's user. Nothing removes it automatically.
    pub fn make_folder(&self) -> PathBuf {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        self.give(&folder);
        folder
    }

    /// Writes a file that only the cluster's user and root may read.
    pub fn write(&self, path: &Path, text: impl AsRef<OsStr>) {
        let text = text.as_ref().as_encoded_bytes();
        fs::write(path, text).expect("the cluster's folder is writable");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, private).expect("the file is the tests'");
        self.give(path);
    }

    fn give(&self, path: &Path) {
        if let Some(user) = &self.user {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(path, Some(uid), Some(gid)).expect("root may give away");
        }
    }
}
