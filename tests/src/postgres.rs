//! A throw-away PostgreSQL cluster for tests, on loopback and under an ordinary user. It has
//! databases for tests, and methods for everything that can happen to a cluster: it can be ended,
//! killed, paused, configured and followed by a standby.
//!
//! Its durability settings are PostgreSQL's defaults. Without an installed PostgreSQL, tests say so
//! and skip.

mod database;
mod installation;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

pub use database::{Database, PASSWORD, PASSWORD_IN_URL, USER};
use installation::Installation;

use crate::eventually::{PATIENCE, wait_until};
use crate::process::{LastWill, Process, free_address};
use crate::requirement;

/// A failed test shows this many lines of the cluster's log.
const SHOWN_LINES: usize = 30;

/// A cluster. It is stopped and removed when it is dropped, and also when the tests' process ends
/// in any way.
pub struct Postgres {
    /// The address that it listens on, also after a restart.
    pub address: SocketAddr,
    installation: Installation,
    // Declared before the process: dropping the last will ends the process.
    _last_will: LastWill,
    process: Option<Process>,
    folder: PathBuf,
    databases: AtomicU32,
}

/// A way to ask a cluster to end.
#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    /// Ends the clients' work and closes properly.
    Fast,
    /// Stops at once and recovers at the next start.
    Immediate,
}

impl Postgres {
    /// The cluster that the tests of this process share. They must leave it as it is. `None` where
    /// tests may skip.
    ///
    /// # Panics
    /// There is no PostgreSQL, and `TAVORA_TEST_REQUIRE_ALL` is set.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        let installation = found()?;
        Some(SHARED.get_or_init(|| Self::make(installation)))
    }

    /// A cluster for one test, which may break it. `None` where tests may skip.
    ///
    /// # Panics
    /// There is no PostgreSQL, and `TAVORA_TEST_REQUIRE_ALL` is set.
    pub fn start() -> Option<Self> {
        found().map(Self::make)
    }

    fn make(installation: Installation) -> Self {
        let cluster = Self::started(installation, |installation, folder| {
            let password = folder.join("password");
            installation.write(&password, database::ADMIN_PASSWORD);
            // Creating the cluster need not be durable. Later commits must be.
            installation.run(
                installation
                    .command("initdb")
                    .args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"])
                    .args(["--no-sync", "--username", database::ADMIN, "--pwfile"])
                    .arg(password)
                    .arg("--pgdata")
                    .arg(folder.join("data")),
            );
        });
        // The user is no superuser, so it cannot create extensions.
        cluster.query(&format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"));
        cluster
    }

    /// Starts a cluster whose `data` folder `make` creates.
    fn started(installation: Installation, make: impl FnOnce(&Installation, &Path)) -> Self {
        let folder = installation.make_folder();
        // A paused process would not hear of the end.
        let lines = format!(
            "kill -CONT $(head -n 1 data/postmaster.pid)\n\
             {:?} stop --mode immediate --pgdata data\n\
             rm -rf \"$PWD\"",
            installation.program("pg_ctl"),
        );
        let last_will = LastWill::leave(&lines, |sh| {
            installation.be_its_user(sh.current_dir(&folder));
        });
        make(&installation, &folder);
        let mut cluster = Self {
            address: free_address(),
            installation,
            _last_will: last_will,
            process: None,
            folder,
            databases: AtomicU32::new(0),
        };
        cluster.start_again();
        cluster
    }

    /// A new, empty database of the hosts' user.
    pub fn database(&self) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.query(&format!(
            "CREATE DATABASE {name} OWNER {USER} TEMPLATE template0"
        ));
        self.database_named(&name)
    }

    /// An existing database, for example on a standby, which has those of its primary.
    pub fn database_named(&self, name: &str) -> Database {
        Database {
            name: name.to_owned(),
            address: self.address,
            psql: self.installation.program("psql"),
        }
    }

    /// Runs SQL as the superuser, outside all tests' databases, and returns the answer.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        self.database_named("postgres").query(sql)
    }

    /// A URL that reaches a database over the cluster's socket.
    pub fn socket_url(&self, database: &Database) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        let (port, name) = (self.address.port(), &database.name);
        format!("postgres://{USER}:{PASSWORD_IN_URL}@{folder}:{port}/{name}")
    }

    /// The whole log of the cluster so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The id of the cluster's first process; `None` while the cluster is stopped.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Asks the cluster to end, and waits for its end.
    pub fn stop(&mut self, how: Shutdown) {
        let mut process = self.process.take().expect("it runs");
        process.signal(match how {
            Shutdown::Fast => Signal::SIGINT,
            Shutdown::Immediate => Signal::SIGQUIT,
        });
        let ended = process.ended_within(PATIENCE);
        assert!(ended.is_some(), "PostgreSQL did not end: {}", self.log());
    }

    /// Kills all processes of the cluster at once, as when the machine goes down.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        // From here on no new process starts.
        process.signal(Signal::SIGSTOP);
        let backends = signal_backends(&process, Signal::SIGKILL);
        process.kill();
        // A restart finds the old shared memory in use as long as one of these processes exists.
        wait_until("is gone", || {
            !backends.iter().any(|backend| is_running(*backend))
        });
    }

    /// Starts the cluster again after a stop or a kill, on its data and at its address, and waits
    /// until it answers.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the cluster is already running");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("the cluster's folder is writable");
        let child = self
            .installation
            .command("postgres")
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-h", &self.address.ip().to_string()])
            .args(["-p", &self.address.port().to_string()])
            .arg("-k")
            .arg(&self.folder)
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("PostgreSQL starts");
        let process = Process::from(child);
        let mut is_ready = self.installation.command("pg_isready");
        is_ready
            .args(["--quiet", "--host", &self.address.ip().to_string()])
            .args(["--port", &self.address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        wait_until("is ready", || {
            assert!(process.is_running(), "PostgreSQL ended: {}", self.log());
            is_ready.status().is_ok_and(|status| status.success())
        });
        self.process = Some(process);
    }

    /// Stops all processes of the cluster: connections are accepted, but nothing is answered.
    pub fn pause(&mut self) {
        let process = self.process.as_ref().expect("it runs");
        process.signal(Signal::SIGSTOP);
        signal_backends(process, Signal::SIGSTOP);
    }

    /// Continues all processes of the cluster.
    pub fn resume(&mut self) {
        let process = self.process.as_ref().expect("it runs");
        signal_backends(process, Signal::SIGCONT);
        process.signal(Signal::SIGCONT);
    }

    /// Sets a parameter permanently. Some parameters need a restart.
    pub fn set(&mut self, name: &str, value: &str) {
        self.query(&format!("ALTER SYSTEM SET {name} = '{value}'"));
        const LOADED: &str = "SELECT pg_conf_load_time()";
        let before = self.query(LOADED);
        self.query("SELECT pg_reload_conf()");
        // This only requests the reload.
        wait_until("reads its parameters", || self.query(LOADED) != before);
    }

    /// Enables TLS, with a certificate for these names and addresses. Returns the path of the
    /// authority's certificate.
    pub fn turn_on_tls(&mut self, names: &[&str]) -> PathBuf {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // The authority needs a name of its own. With the default name of all certificates, the
        // server's certificate would look self-signed.
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "the tests' authority");
        let authority = CertifiedIssuer::self_signed(authority, make_key()).expect("it is valid");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = make_key();
        let certificate = CertificateParams::new(names)
            .and_then(|parameters| parameters.signed_by(&key, &authority))
            .expect("the names are valid");
        let file = |name: &str, text: &str| {
            let path = self.folder.join(name);
            self.installation.write(&path, text);
            path
        };
        let root = file("authority.pem", &authority.pem());
        let certificate = file("server.pem", &certificate.pem());
        let key = file("server.key", &key.serialize_pem());
        self.set("ssl_cert_file", &certificate.display().to_string());
        self.set("ssl_key_file", &key.display().to_string());
        self.set("ssl", "on");
        root
    }

    /// A hot standby that follows this cluster from now on.
    pub fn standby(&self) -> Self {
        static STANDBYS: AtomicU32 = AtomicU32::new(0);
        let slot = format!("standby_{}", STANDBYS.fetch_add(1, Ordering::Relaxed));
        Self::started(self.installation.clone(), |installation, folder| {
            installation.run(
                installation
                    .command("pg_basebackup")
                    .args(["--write-recovery-conf", "--wal-method=stream", "--no-sync"])
                    .args(["--checkpoint=fast", "--create-slot", "--slot", &slot])
                    .args(["--dbname", &self.database_named("postgres").admin_url()])
                    .arg("--pgdata")
                    .arg(folder.join("data")),
            );
        })
    }

    /// Waits until this standby has everything that its primary has committed by now.
    pub fn catch_up(&self, with: &Self) {
        let place = with.query("SELECT pg_current_wal_lsn()");
        let is_there = format!("SELECT pg_last_wal_replay_lsn() >= '{place}'");
        wait_until("catches up", || self.query(&is_there) == "t");
    }

    /// Promotes a standby, so that it takes writes.
    pub fn promote(&mut self) {
        self.installation.run(
            self.installation
                .command("pg_ctl")
                .args(["promote", "--wait", "--pgdata"])
                .arg(self.folder.join("data")),
        );
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.resume();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("--- PostgreSQL\n{}\n---", lines[last..].join("\n"));
        }
    }
}

fn found() -> Option<Installation> {
    let installation = Installation::find();
    requirement::are_there(&[("PostgreSQL", installation.is_some())])
        .then_some(installation)
        .flatten()
}

fn make_key() -> KeyPair {
    KeyPair::generate().expect("the machine has randomness")
}

/// Signals the processes that a server started for its connections and its own work, and returns
/// them. They form no process group.
fn signal_backends(process: &Process, signal: Signal) -> Vec<Pid> {
    let id = process.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
        .expect("Linux tells the children of a process");
    let children = children.split_whitespace();
    let children = children.map(|child| Pid::from_raw(child.parse().expect("ids are numbers")));
    let children: Vec<Pid> = children.collect();
    for child in &children {
        // The process may have ended by itself.
        let _ = kill(*child, signal);
    }
    children
}

/// Whether a process exists and is no zombie.
fn is_running(process: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.is_ok_and(|state| {
        let rest = state.rsplit_once(") ").map_or("", |(_, rest)| rest);
        !rest.starts_with(['Z', 'X'])
    })
}
