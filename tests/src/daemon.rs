//! The host's binary while it serves: it is started, waited for until it listens, signalled, and
//! ended.
//!
//! The caller decides with which data, KEK and token it runs.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::Process;
use crate::wire::{Answer, Request};

/// The output of the binary before the scheme and the address that it listens on.
const LISTENING: &str = "listening on http";

/// Time limit until the binary listens. The first start compiles the components.
const START: Duration = Duration::from_secs(180);

/// Time limit for its end.
const END: Duration = Duration::from_secs(30);

/// A failed test shows this many lines of the host's log.
const SHOWN_LINES: usize = 50;

/// A running host. Dropping it stops the host, and shows its log if the test failed.
pub struct Daemon {
    /// The address that it listens on.
    pub address: SocketAddr,
    process: Process,
    log: Arc<Log>,
}

impl Daemon {
    /// Starts a command and waits until it prints the address that it listens on.
    pub fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).expect("the host says where it listens")
    }

    /// Starts a command that may end before it listens. The result is then `None`.
    pub fn try_spawn(command: &mut Command) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().expect("it is piped"));
        log.follow(child.stderr.take().expect("it is piped"));
        let mut daemon = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process: child.into(),
            log,
        };
        // Dropping it shows the log if this is a failure.
        daemon.address = daemon.log.listening_address()?;
        Some(daemon)
    }

    /// Sends a request.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        request
            .send(self.address)
            .unwrap_or_else(|error| panic!("{error}: {request:?}"))
    }

    /// The id of the host's process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The whole output of the host so far.
    pub fn log(&self) -> String {
        self.log.lines().text.clone()
    }

    /// Sends a signal to the host's process.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether the host's process is still running.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Asks the host to end, and waits for its end.
    pub fn halt(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended().expect("it ends in time")
    }

    /// Asks the host to end, and waits for its end. Returns the exit status and the whole output.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits for the end of the host. Returns the exit status and the whole output.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.ended().expect("it ends in time");
        (status, self.log.whole())
    }

    /// The exit status; `None` when the process had to be killed.
    fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.process.ended_within(END);
        if ended.is_none() {
            self.process.kill();
        }
        ended
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        let ended = self.ended();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!(
                "--- tavora-host, {ended:?}\n{}\n---",
                lines[last..].join("\n")
            );
        } else {
            assert!(ended.is_some(), "the host did not end on SIGTERM");
        }
    }
}

/// The output of a process, line by line.
#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    grew: Condvar,
}

#[derive(Default)]
struct Lines {
    text: String,
    /// The number of streams that were read to their end.
    ended: usize,
}

impl Log {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
                log.change(|lines| lines.text.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
            log.change(|lines| lines.ended += 1);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.lines());
        self.grew.notify_all();
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `is_waiting` holds, but no longer than `most`.
    fn wait(&self, most: Duration, is_waiting: impl Fn(&Lines) -> bool) -> MutexGuard<'_, Lines> {
        let waited = self
            .grew
            .wait_timeout_while(self.lines(), most, |lines| is_waiting(lines));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The whole output, once both streams have ended.
    fn whole(&self) -> String {
        self.wait(END, |lines| lines.ended < 2).text.clone()
    }

    /// Waits for the line with the address that the host listens on.
    fn listening_address(&self) -> Option<SocketAddr> {
        let lines = self.wait(START, |lines| {
            listening_address(&lines.text).is_none() && lines.ended < 2
        });
        listening_address(&lines.text)
    }
}

fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, url) = log.split_once(LISTENING)?;
    let (_, rest) = url.split_once("://")?;
    // Only whole lines are added, so this line is complete.
    rest.split([' ', '/', '\n']).next()?.parse().ok()
}
