//! A server of another software project, such as OpenBao, as a process on loopback. It is started,
//! waited for, suspended and ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tavora_tests::process::{Process, free_address};
use tavora_tests::wire::{Answer, Request};
use tempfile::TempDir;

/// Time limit until a server answers after its start.
const START: Duration = Duration::from_secs(60);

pub struct Server {
    pub address: SocketAddr,
    // Declared before the folder, so that the process ends before its folder is removed.
    process: Process,
    /// The server's home. Its output is in `log`.
    pub folder: TempDir,
}

impl Server {
    /// Starts the command that `command` makes for an address, and waits until `path` is answered
    /// with success.
    pub fn start(command: impl FnOnce(SocketAddr) -> Command, path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command(address)
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            address,
            process: child.into(),
            folder,
        };
        let started = Instant::now();
        while !Request::new("GET", path)
            .send(address)
            .is_ok_and(|answer| answer.status == 200)
        {
            assert!(started.elapsed() < START, "{}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        request.send(self.address).unwrap()
    }

    /// Suspends the server: connections are accepted, but nothing is answered.
    pub fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// A program in one of the Python environments that `cargo xtask test-tools` makes.
pub fn python_program(python: &str, name: &str) -> PathBuf {
    tavora_tests::requirement::tools_folder()
        .join(python)
        .join("bin")
        .join(name)
}
