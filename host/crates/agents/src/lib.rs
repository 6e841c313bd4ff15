//! The agents of a host: a folder with one folder for each agent, in which `agent.jsonc` declares
//! it.
//!
//! As with `tavora.toml`, a person who may write to this folder decides where the named secrets go.
//! A file is checked each time its agent is requested, and read again after a change, so that no
//! watcher and no restart is needed. `platform` decides what an agent can do with its tools.

mod agent;
mod api;
mod declaration;
mod document;
mod rules;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::libc;

pub use self::agent::{
    Agent, AgentId, ApiName, DeclaredApi, McpServer, SecretRef, ServerAuth, ServerName, Transport,
};
pub use self::document::Fault;
pub use self::rules::{AgentRules, HttpRules};
pub use self::settings::AgentsConfig;
pub use tavora_trust::guard::Exposed;
use tavora_trust::{component_file, guard};

/// The name of the file that declares an agent.
pub const FILE: &str = "agent.jsonc";

/// Why no agent with this id is available.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no folder with this name, or it has no `agent.jsonc`.
    #[error("there is no agent {0:?}")]
    Unknown(String),
    /// The configuration names no folder of agents.
    #[error(
        "there is no agent {0:?}: this host has no agents, as `dir` in [agents] of tavora.toml is not set"
    )]
    NoFolder(String),
    /// The agent's file is broken, and was not valid at any time since the host started.
    #[error("the agent \"{0}\" cannot be used: {1}")]
    Broken(AgentId, AgentFileError),
}

/// Why a file declares no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is a folder, a pipe, a device or a socket in place of the file.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Every user can write to the file, and so decide what the agent may do.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The file is too long.
    #[error("{} has more bytes than agents.max_file_bytes ({allowed}) allows", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        allowed: u64,
    },
    /// The folder's name is no valid id.
    #[error("{}: {message}", path.display())]
    NoId {
        /// The folder.
        path: PathBuf,
        /// The rules for an id.
        message: String,
    },
    /// The file's content is not valid.
    #[error("{}", Placed(path, faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All faults, in the order of the text.
        faults: Vec<Fault>,
    },
}

/// Why the folder of agents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    /// The folder cannot be read.
    #[error("[agents] dir: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Every user can add agents to the folder.
    #[error("[agents] dir: {0}")]
    Exposed(#[from] Exposed),
    /// There are too many folders.
    #[error("[agents] dir: {} has more agents than agents.max_agents ({allowed}) allows", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        allowed: usize,
    },
}

/// Displays `FILE:LINE:COLUMN: MESSAGE` for each fault.
struct Placed<'a>(&'a Path, &'a [Fault]);

impl fmt::Display for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.1.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{}:{fault}", self.0.display())?;
        }
        Ok(())
    }
}

/// The agents of a host. Without a folder there are none.
pub struct Agents {
    config: AgentsConfig,
    rules: AgentRules,
    read: Mutex<BTreeMap<AgentId, Reading>>,
}

/// The result of reading a file in the state that `stamp` describes.
#[derive(Clone)]
struct Reading {
    stamp: Stamp,
    /// The states of the documents of the agent's APIs.
    documents: Vec<Option<Stamp>>,
    /// The agent from the last valid version of the file.
    good: Option<Arc<Agent>>,
}

impl Reading {
    /// Returns the agent, if neither its file nor the documents in its folder have changed.
    fn unchanged(&self, stamp: Stamp, folder: &Path) -> Option<Arc<Agent>> {
        let good = self.good.as_ref().filter(|_| self.stamp == stamp)?;
        let documents = documents_of(good, folder);
        (documents == self.documents).then(|| Arc::clone(good))
    }
}

/// Returns the states of the documents of an agent's APIs.
fn documents_of(agent: &Agent, folder: &Path) -> Vec<Option<Stamp>> {
    let documents = agent.apis.iter().filter_map(|api| api.document.as_ref());
    let found = documents.map(|document| fs::metadata(folder.join(document)).ok());
    found.map(|found| found.as_ref().map(Stamp::of)).collect()
}

/// The state of a file, to detect changes. It uses the inode's change time, which no program can
/// set.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            bytes: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Agents {
    /// Returns the agents of `config`, without reading them yet.
    ///
    /// # Errors
    /// The folder does not exist, or every user can write to it.
    pub fn open(config: AgentsConfig, rules: AgentRules) -> Result<Self, AgentsError> {
        if let Some(folder) = &config.dir {
            let found = fs::read_dir(folder).and_then(|_| folder.metadata());
            let found = found.map_err(|source| AgentsError::Unreadable {
                path: folder.clone(),
                source,
            })?;
            guard::check_with_folders(folder, &found)?;
        }
        Ok(Self {
            config,
            rules,
            read: Mutex::default(),
        })
    }

    /// Returns a set without agents.
    pub fn none() -> Self {
        Self {
            config: AgentsConfig::default(),
            rules: AgentRules::default(),
            read: Mutex::default(),
        }
    }

    /// Returns the agent with this id as its file declares it now. If the file is broken, returns
    /// the last valid version, and logs each broken version once.
    ///
    /// # Errors
    /// There is no such agent, or its file was broken from the start.
    pub fn find(&self, id: &str) -> Result<Arc<Agent>, AgentError> {
        let shown: String = id.chars().take(64).collect();
        let Some(folder) = self.config.dir.as_ref() else {
            return Err(AgentError::NoFolder(shown));
        };
        let Ok(id) = AgentId::try_from(id.to_owned()) else {
            return Err(AgentError::Unknown(shown));
        };
        let path = folder.join(id.as_str()).join(FILE);
        let found = match fs::metadata(&path) {
            Ok(found) => Stamp::of(&found),
            Err(error) if is_missing(&error) => {
                self.readings().remove(&id);
                return Err(AgentError::Unknown(shown));
            }
            Err(source) => {
                let error = AgentFileError::Unreadable { path, source };
                return Err(AgentError::Broken(id, error));
            }
        };
        let agents_folder = folder.join(id.as_str());
        let known = self.readings().get(&id).cloned();
        let known = known.and_then(|it| it.unchanged(found, &agents_folder));
        if let Some(agent) = known {
            return Ok(agent);
        }
        // The lock is not held while a file is read, so that other agents need not wait.
        let parsed = self.parse(&id, path);
        let mut read = self.readings();
        let before = read.get(&id);
        // The last valid version is read again only after something has changed.
        let is_new = before.is_none_or(|it| it.stamp != found || it.good.is_some());
        let last_good = before.and_then(|reading| reading.good.clone());
        let (good, error) = match parsed {
            Ok(agent) => (Some(Arc::new(agent)), None),
            Err(error) => (last_good, Some(error)),
        };
        if let Some(error) = error.as_ref().filter(|_| is_new) {
            let kept = match good {
                Some(_) => "the agent stays as it was",
                None => "there is no agent until it is corrected",
            };
            tracing::warn!(agent = %id, %error, kept, "an agent's file is broken");
        }
        let documents = good
            .as_ref()
            .map(|agent| documents_of(agent, &agents_folder));
        let reading = Reading {
            stamp: found,
            documents: documents.unwrap_or_default(),
            good: good.clone(),
        };
        read.insert(id.clone(), reading);
        match (good, error) {
            (Some(agent), _) => Ok(agent),
            (None, Some(error)) => Err(AgentError::Broken(id, error)),
            (None, None) => unreachable!("a file that is not good has an error"),
        }
    }

    fn readings(&self) -> MutexGuard<'_, BTreeMap<AgentId, Reading>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads every agent again, sorted by the names of their folders. Plain files and hidden
    /// entries are ignored.
    ///
    /// # Errors
    /// The folder itself cannot be used.
    pub fn check(&self) -> Result<Vec<Result<Agent, AgentFileError>>, AgentsError> {
        let Some(folder) = self.config.dir.as_ref() else {
            return Ok(Vec::new());
        };
        let folders = folders_in(folder).map_err(|source| AgentsError::Unreadable {
            path: folder.clone(),
            source,
        })?;
        let allowed = self.config.max_agents.get();
        if folders.len() > allowed {
            return Err(AgentsError::TooMany {
                path: folder.clone(),
                allowed,
            });
        }
        let agents = folders.into_iter().map(|path| self.read_folder(path));
        Ok(agents.collect())
    }

    /// Reads the agent in `folder`, whose name is its id.
    pub fn read_folder(&self, folder: PathBuf) -> Result<Agent, AgentFileError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        match AgentId::try_from(name.into_owned()) {
            Ok(id) => self.parse(&id, folder.join(FILE)),
            Err(message) => Err(AgentFileError::NoId {
                path: folder,
                message,
            }),
        }
    }

    fn parse(&self, id: &AgentId, path: PathBuf) -> Result<Agent, AgentFileError> {
        let allowed = self.config.max_file_bytes.get();
        let unreadable = |source| AgentFileError::Unreadable {
            path: path.clone(),
            source,
        };
        // Opens without blocking: opening a pipe would block otherwise.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if !found.is_file() {
            return Err(AgentFileError::NotAFile { path });
        }
        guard::check_with_folders(&path, &found)?;
        let mut bytes = Vec::new();
        file.take(allowed + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > allowed {
            return Err(AgentFileError::TooLong { path, allowed });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let error =
                io::Error::new(io::ErrorKind::InvalidData, format!("byte {at} is no UTF-8"));
            unreadable(error)
        })?;
        // Some editors put a byte order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let max_bytes = self.rules.http.limits.max_document_bytes;
        let folder = path.parent().unwrap_or(Path::new(""));
        let read = |document: &Path| {
            let document = folder.join(document);
            let (real, home) = (document.canonicalize(), folder.canonicalize());
            if let (Ok(real), Ok(home)) = (real, home)
                && !real.starts_with(&home)
            {
                return Err("it is a link that leads out of the agent's folder".to_owned());
            }
            component_file::read_listed(&document, max_bytes).map_err(|error| error.to_string())
        };
        Agent::parse(id, text, &self.rules, &read).map_err(|faults| AgentFileError::Faults {
            path: path.clone(),
            faults,
        })
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') && path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder {
        agents: Agents,
        folder: tempfile::TempDir,
    }

    fn folder() -> Folder {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = AgentsConfig {
            dir: Some(folder.path().to_owned()),
            ..AgentsConfig::default()
        };
        Folder {
            agents: Agents::open(config, AgentRules::default()).expect("it is there"),
            folder,
        }
    }

    impl Folder {
        fn write(&self, id: &str, text: &str) {
            let folder = self.folder.path().join(id);
            fs::create_dir_all(&folder).expect("writable");
            fs::write(folder.join(FILE), text).expect("writable");
        }

        fn name(&self, id: &str) -> String {
            match self.agents.find(id) {
                Ok(agent) => agent.name.clone(),
                Err(error) => error.to_string(),
            }
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_keeps_the_last_good() {
        let folder = folder();
        assert_eq!(folder.name("one"), "there is no agent \"one\"");
        folder.write("one", r#"{"id": "one", "name": "first"}"#);
        assert_eq!(folder.name("one"), "first");
        let first = folder.agents.find("one").expect("it is there");
        let again = folder.agents.find("one").expect("it is there");
        assert!(
            Arc::ptr_eq(&first, &again),
            "an unchanged file was read again"
        );
        folder.write("one", r#"{"id": "one", "name": "other"}"#);
        assert_eq!(folder.name("one"), "other");
        folder.write("one", r#"{"id": "one", "name": 7}"#);
        assert_eq!(folder.name("one"), "other");
        folder.write("one", r#"{"id": "one", "name": "right again"}"#);
        assert_eq!(folder.name("one"), "right again");
        fs::remove_dir_all(folder.folder.path().join("one")).expect("writable");
        assert_eq!(folder.name("one"), "there is no agent \"one\"");
    }

    #[test]
    fn a_file_that_never_was_good_says_where_it_is_wrong() {
        let folder = folder();
        folder.write("one", "{\n \"id\": \"two\"\n}");
        let path = folder.folder.path().join("one").join(FILE);
        let said = folder.name("one");
        let place = format!("{}:2:8: the id must be the folder's name", path.display());
        assert!(said.contains(&place), "{said}");
        folder.write("one", r#"{"id": "one", "name": "first"}"#);
        assert_eq!(folder.name("one"), "first");
    }

    #[test]
    fn what_is_no_file_is_said_at_once_and_keeps_nobody_waiting() {
        let folder = folder();
        folder.write("one", r#"{"id": "one", "name": "first"}"#);
        let path = folder.folder.path().join("two");
        fs::create_dir(&path).expect("writable");
        nix::unistd::mkfifo(&path.join(FILE), nix::sys::stat::Mode::S_IRWXU).expect("writable");
        let said = folder.name("two");
        assert!(said.ends_with("agent.jsonc is not a file"), "{said}");
        fs::create_dir_all(folder.folder.path().join("three").join(FILE)).expect("writable");
        let said = folder.name("three");
        assert!(said.ends_with("agent.jsonc is not a file"), "{said}");
        assert_eq!(folder.name("one"), "first");
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let folder = folder();
        folder.write("one", "\u{feff}{\"id\": \"one\", \"name\": \"first\"}");
        assert_eq!(folder.name("one"), "first");
    }

    #[test]
    fn a_key_is_shown_and_begins_no_line_of_its_own() {
        let folder = folder();
        folder.write(
            "one",
            r#"{"id": "one", "name": "x", "a\n2026 ERROR forged\u001b[8m": 1}"#,
        );
        let said = folder.name("one");
        assert!(
            said.contains(r#"no key "a\n2026 ERROR forged\u{1b}[8m""#),
            "{said}"
        );
        assert!(!said.contains(['\n', '\u{1b}']), "{said}");
        folder.write("two", r#"{"id": "two", "a\nb": 1, "a\nb": 2}"#);
        let said = folder.name("two");
        assert!(said.contains(r#"the key "a\nb" is here twice"#), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }

    #[test]
    fn what_every_user_can_write_to_declares_no_agent() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        folder.write("one", r#"{"id": "one", "name": "first"}"#);
        let top = folder.folder.path().to_owned();
        let set_mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
        };
        for path in [top.join("one").join(FILE), top.join("one")] {
            let before = path.metadata().expect("it is there").permissions().mode();
            set_mode(&path, before | 0o002);
            let agents = Agents::open(folder.agents.config.clone(), AgentRules::default());
            let said = agents
                .expect("it is there")
                .find("one")
                .expect_err("exposed");
            let words = format!("{} can be written by every user", path.display());
            assert!(said.to_string().contains(&words), "{said}");
            set_mode(&path, before);
        }
        assert_eq!(folder.name("one"), "first");
        set_mode(&top, 0o777);
        let refused = Agents::open(folder.agents.config.clone(), AgentRules::default());
        let said = refused.err().expect("exposed").to_string();
        assert!(said.contains("can be written by every user"), "{said}");
    }

    #[test]
    fn without_a_folder_of_agents_that_is_said() {
        let Err(error) = Agents::none().find("one") else {
            panic!("there is none");
        };
        let said = error.to_string();
        assert!(said.contains("`dir` in [agents]"), "{said}");
    }

    #[test]
    fn an_id_leads_to_no_other_folder() {
        let folder = folder();
        folder.write("one", r#"{"id": "one", "name": "first"}"#);
        for id in ["", ".", "..", "../one", "one/", "one/.", "ONE", "one\0"] {
            assert!(
                matches!(folder.agents.find(id), Err(AgentError::Unknown(_))),
                "{id}"
            );
        }
    }

    #[test]
    fn a_file_and_a_folder_have_their_limits() {
        let mut folder = folder();
        let text = r#"{"id": "one", "name": "first"}"#;
        folder.agents.config.max_file_bytes = (text.len() as u64).try_into().expect("above zero");
        folder.write("one", text);
        assert_eq!(folder.name("one"), "first");
        folder.write("two", &format!("{text} "));
        let said = folder.name("two");
        assert!(said.contains("agents.max_file_bytes (30)"), "{said}");
        folder.agents.config.max_agents = 2.try_into().expect("above zero");
        assert_eq!(folder.agents.check().expect("two are allowed").len(), 2);
        folder.write("three", text);
        let error = folder.agents.check().expect_err("three are not");
        assert!(
            error.to_string().contains("agents.max_agents (2)"),
            "{error}"
        );
    }

    #[test]
    fn a_check_reads_every_folder_and_nothing_else() {
        let folder = folder();
        folder.write("one", r#"{"id": "one", "name": "first"}"#);
        folder.write("Two", "{}");
        folder.write(".git", "{}");
        fs::create_dir(folder.folder.path().join("three")).expect("writable");
        fs::write(folder.folder.path().join("README.md"), "agents").expect("writable");
        let read = folder.agents.check().expect("readable");
        let said: Vec<String> = read
            .iter()
            .map(|read| match read {
                Ok(agent) => agent.name.clone(),
                Err(error) => error.to_string(),
            })
            .collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("\"Two\" is not an agent's id"), "{said:?}");
        assert_eq!(said[1], "first");
        assert!(said[2].contains("cannot read"), "{said:?}");
    }
}
