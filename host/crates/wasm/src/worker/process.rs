//! The parent's side of a worker: start it without inheriting anything, send the task, wait, and
//! kill it if it takes too long.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::message::{self, Answer, Task, WorkerLimit};
use crate::inspection::InspectionLimits;
use crate::load_error::WorkerError;
use tavora_scrub::shown;

/// The argument that turns a program into a worker.
pub(super) const ARGUMENT: &str = "component-worker";

/// The most bytes that are kept of a worker's stderr.
const MAX_WORDS_BYTES: u64 = 4_096;

/// The most bytes that are read of a worker's answers. Names in a component can be long.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// The longest pause between two checks whether a worker has ended.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A worker to be started.
pub(super) struct Process<'a> {
    pub program: &'a Path,
    /// The worker's current folder.
    pub folder: &'a Path,
    pub limits: &'a InspectionLimits,
}

/// Why a worker was killed.
enum Killed {
    Late,
    Unwanted,
}

impl Process<'_> {
    /// Sends `task` to a worker. Returns its answers, and how it ended.
    pub(super) fn ask(
        &self,
        task: &Task,
        bytes: &[u8],
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(Vec<Answer>, Result<(), WorkerError>), WorkerError> {
        let mut child = self.start()?;
        let piped = "its streams are piped";
        let mut stdin = child.stdin.take().expect(piped);
        let mut stdout = child.stdout.take().expect(piped);
        let mut stderr = child.stderr.take().expect(piped);
        std::thread::scope(|scope| {
            // A worker that ends early stops reading. Its exit status tells why.
            scope.spawn(move || {
                let _ = message::write(&mut stdin, task)
                    .and_then(|()| message::write_bytes(&mut stdin, bytes));
            });
            let said = scope.spawn(move || {
                let mut said = Vec::new();
                let _ = (&mut stdout).take(MAX_ANSWER_BYTES).read_to_end(&mut said);
                let _ = io::copy(&mut stdout, &mut io::sink());
                message::read_all(&said)
            });
            let words = scope.spawn(move || {
                let mut words = Vec::new();
                let _ = (&mut stderr).take(MAX_WORDS_BYTES).read_to_end(&mut words);
                let _ = io::copy(&mut stderr, &mut io::sink());
                String::from_utf8_lossy(&words).into_owned()
            });
            let ended = self.wait(&mut child, is_wanted);
            let said = said.join().unwrap_or_default();
            let words = words.join().unwrap_or_default();
            let ended = match ended {
                Ok((status, killed)) => self.judge(status, killed, &words),
                Err(error) => Err(WorkerError::Stopped(error.to_string())),
            };
            Ok((said, ended))
        })
    }

    fn start(&self) -> Result<Child, WorkerError> {
        let file_bytes = match self.folder == Path::new("/") {
            true => 0,
            false => self.limits.max_compiled_bytes.get(),
        };
        Command::new(self.program)
            .arg(ARGUMENT)
            .arg(self.limits.worker_cpu_ms.get().div_ceil(1_000).to_string())
            .arg(self.limits.worker_memory_bytes.to_string())
            .arg(file_bytes.to_string())
            .env_clear()
            .current_dir(self.folder)
            // A terminal's Ctrl-C must reach only the host, which may finish its work.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| WorkerError::NotStarted {
                program: self.program.to_owned(),
                source,
            })
    }

    /// Waits for the worker, and kills it when its time is up or its answer is no longer wanted.
    fn wait(
        &self,
        child: &mut Child,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<(ExitStatus, Option<Killed>)> {
        let started = Instant::now();
        let most = Duration::from_millis(self.limits.worker_wall_clock_ms.get());
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok((status, None));
            }
            let killed = match (started.elapsed() > most, is_wanted()) {
                (true, _) => Some(Killed::Late),
                (false, false) => Some(Killed::Unwanted),
                (false, true) => None,
            };
            if killed.is_some() {
                child.kill()?;
                return Ok((child.wait()?, killed));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn judge(
        &self,
        status: ExitStatus,
        killed: Option<Killed>,
        words: &str,
    ) -> Result<(), WorkerError> {
        let limits = self.limits;
        match killed {
            Some(Killed::Unwanted) => return Err(WorkerError::Abandoned),
            Some(Killed::Late) => {
                let key = "limits.component.worker_wall_clock_ms";
                return Err(WorkerError::limit(key, limits.worker_wall_clock_ms.get()));
            }
            None => {}
        }
        let signal = status.signal().map(Signal::try_from).and_then(Result::ok);
        match signal {
            Some(Signal::SIGXCPU) => {
                let key = "limits.component.worker_cpu_ms";
                Err(WorkerError::limit(key, limits.worker_cpu_ms.get()))
            }
            Some(Signal::SIGXFSZ) => {
                let allowed = limits.max_compiled_bytes.get();
                Err(WorkerError::limit(WorkerLimit::Compiled.key(), allowed))
            }
            _ if words.contains("memory allocation of") => {
                let allowed = limits.worker_memory_bytes.get();
                Err(WorkerError::limit(WorkerLimit::Memory.key(), allowed))
            }
            _ if status.success() => Ok(()),
            _ => {
                let words = words.lines().next().unwrap_or_default();
                let words = shown::name(words);
                Err(WorkerError::Stopped(format!("{status}; {words}")))
            }
        }
    }
}
