//! The host's binary as it serves: started, spoken to over loopback, signalled, and waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binary::host;

/// A running `tavora-host serve` or `dev`. It is killed when this is dropped.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it printed until it listened.
    pub said: String,
    log: Option<JoinHandle<String>>,
}

impl Daemon {
    /// Starts `command` (`serve` or `dev`) on the data in `folder`, at a free port.
    pub fn start(folder: &Path, command: &str) -> Self {
        Self::spawn(host(folder).args([command, "--listen", "127.0.0.1:0"]))
    }

    /// Starts a command that prints where it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("the log is text");
            text
        });
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut said = String::new();
        let address = loop {
            let Some(line) = lines.next() else {
                let _ = child.kill();
                panic!("it ended early: {said}{}", log.join().expect("no panic"));
            };
            let line = line.expect("it prints text");
            said.push_str(&line);
            said.push('\n');
            if let Some((_, rest)) = line.split_once("listening on http") {
                let url = rest.split(' ').next().expect("a split has a first part");
                let (_, address) = url.split_once("://").expect("it prints a URL");
                break address.parse().expect("the host is an address");
            }
        };
        Self {
            child,
            address,
            said,
            log: Some(log),
        }
    }

    /// `GET` of a path, as status line, headers and body in one text.
    pub fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
    }

    /// Sends this text and reads to the end of the connection.
    pub fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// A connection that gives up after a while.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("not zero");
        stream.set_write_timeout(patience).expect("not zero");
        stream
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, signal).expect("it runs");
    }

    /// Waits for its end; gives its exit status and its log.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ends").code();
        let log = self.log.take().expect("it is taken once");
        (status, log.join().expect("no panic"))
    }

    /// Tells it to stop, and waits.
    pub fn stop(self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
