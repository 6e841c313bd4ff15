//! A program that runs beside a test. It is signalled, watched, and killed at the latest when the
//! test drops it.
//!
//! The caller decides when it is ready, what it prints and how it is asked to end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// A running program.
pub struct Process {
    child: Child,
}

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self { child }
    }
}

impl Process {
    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        // A process that ended keeps its id until it is waited for. After that the id may belong to
        // another process.
        if self.is_running() {
            let _ = kill(self.pid(), signal);
        }
    }

    /// Whether the process is still running.
    pub fn is_running(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        matches!(
            waitid(Id::Pid(self.pid()), flags),
            Ok(WaitStatus::StillAlive)
        )
    }

    /// The exit status; `None` when the process did not end within this time.
    pub fn ended_within(&mut self, most: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < most {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lines of `sh` that run when this is dropped, and also when the tests' process ends in any way.
/// They clean up even if nobody else can.
pub struct LastWill {
    sh: Child,
}

impl LastWill {
    /// Leaves these lines to a `sh`. `change` adjusts its command, for example its user.
    pub fn leave(lines: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        // Nobody writes to the pipe that the shell reads. The pipe ends with the tests' process.
        // The shell has no output, so that a reader of the tests' output does not wait for it. It
        // has a process group of its own, so that a terminal's Ctrl-C reaches only the tests.
        command
            .args(["-c", &format!("read -r nothing\n{lines}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        change(&mut command);
        let sh = command.spawn().expect("there is a shell");
        Self { sh }
    }
}

impl Drop for LastWill {
    fn drop(&mut self) {
        drop(self.sh.stdin.take());
        let _ = self.sh.wait();
    }
}

/// A loopback address for a server that cannot choose a free one itself. The server may also use
/// the next port.
///
/// No other process gets the address by chance while the server is down: the port is below those
/// that systems assign, and this function returns each port only once.
pub fn free_address() -> SocketAddr {
    const FIRST: u32 = 20_000;
    const PAIRS: u32 = 5_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Concurrent processes start at different places.
    let start = std::process::id().wrapping_mul(101);
    loop {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!(taken < PAIRS, "loopback has a free port");
        let port = FIRST + 2 * (start.wrapping_add(taken) % PAIRS);
        let port = u16::try_from(port).expect("the range is below 65536");
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free(port) && free(port + 1) {
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
    }
}
