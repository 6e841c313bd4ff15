//! The worker: a child process that inspects and compiles components from others. A component that
//! explodes costs a child process and an error message.
//!
//! The worker runs this program again, or the one that `[worker] program` names. It inherits
//! nothing and confines itself before it reads its task. This file is the interface for the rest of
//! the host, which never sees the process. Grants are decided elsewhere.

mod child;
mod confine;
mod imports;
mod message;
mod process;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::inspection::{Class, Inspection, NotAComponent};
use super::limits::Limits;
use super::load_error::LoadError;
pub use super::load_error::WorkerError;
use message::{Answer, Task, Unfit, Work};
pub use settings::WorkerConfig;

/// Whether this program calls [`run_if_asked`], which means that it can be started as a worker.
static IS_ROUTED: AtomicBool = AtomicBool::new(false);

/// Does a worker's job and exits, if this process was started as a worker. Otherwise returns at
/// once.
///
/// A program that embeds the host calls this first in its `main`, before it starts a thread or
/// reads anything. Without this call or `[worker] program`, the host loads no components from
/// others.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == process::ARGUMENT)
    {
        std::process::exit(child::run(arguments));
    }
    IS_ROUTED.store(true, Ordering::Relaxed);
}

/// Starts workers, up to a limit at a time.
#[derive(Clone)]
pub struct Worker {
    program: Option<PathBuf>,
    limits: Arc<Limits>,
    turns: Arc<Semaphore>,
}

impl Worker {
    /// Returns a starter of workers with these limits. Nothing is started yet.
    #[must_use]
    pub fn new(config: &WorkerConfig, limits: &Limits) -> Self {
        let own = || IS_ROUTED.load(Ordering::Relaxed).then(own_program);
        let turns = limits.max_concurrent_compilations.get();
        Self {
            program: config.program.clone().or_else(|| own().flatten()),
            limits: Arc::new(limits.clone()),
            turns: Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Inspects all of `bytes`. A component that fits the agent class is also compiled and linked,
    /// to be sure that it runs. For a trusted tool, only the imports are linked.
    pub async fn inspect(&self, bytes: Vec<u8>) -> Result<Inspection, LoadError> {
        self.in_turn(move |worker, is_wanted| {
            let answers = worker.ask(Work::Inspect, Path::new("/"), &bytes, is_wanted)?;
            let mut inspection = answers.inspection?;
            if let (Some(class), Err(unfit)) = (inspection.loads_as(), answers.compiled) {
                inspection.refuse(
                    class,
                    match unfit {
                        LoadError::DoesNotFit(words) => words,
                        other => other.to_string(),
                    },
                );
            }
            Ok(inspection)
        })
        .await
    }

    /// Runs `work` on a new thread when a place is free. `work` can ask whether its result is still
    /// wanted.
    ///
    /// A worker dies with the thread that started it, so the thread waits for it and does nothing
    /// else.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, &dyn Fn() -> bool) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .expect("nothing closes the semaphore");
        let worker = self.clone();
        let (report, outcome) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("component-loader".to_owned())
            .spawn(move || {
                let _turn = turn;
                let done = work(&worker, &|| !report.is_closed());
                // The caller may no longer wait.
                let _ = report.send(done);
            })
            .map_err(|error| WorkerError::Stopped(error.to_string()))?;
        outcome
            .await
            .unwrap_or_else(|_| Err(WorkerError::Stopped("its thread panicked".to_owned()).into()))
    }

    /// Inspects `bytes` for `class`. Unless they are already `compiled`, compiles them into
    /// `folder` in the format of wasmtime's cache.
    pub(super) fn load(
        &self,
        class: Class,
        bytes: &[u8],
        folder: Option<&Path>,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Inspection, LoadError> {
        let work = match folder {
            Some(_) => Work::Compile(class),
            None => Work::Check,
        };
        let answers = self.ask(work, folder.unwrap_or(Path::new("/")), bytes, is_wanted)?;
        let inspection = answers.inspection?;
        if let Some(refusal) = inspection.refusal_for(class) {
            return Err(refusal.into());
        }
        answers.compiled?;
        Ok(inspection)
    }

    fn ask(
        &self,
        work: Work,
        folder: &Path,
        bytes: &[u8],
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Answers, WorkerError> {
        let program = self.program.as_deref().ok_or(WorkerError::None)?;
        let task = Task {
            version: message::VERSION.to_owned(),
            work,
            limits: (*self.limits).clone(),
        };
        let process = process::Process {
            program,
            folder,
            limits: &self.limits.component,
        };
        let (answers, ended) = process.ask(&task, bytes, is_wanted)?;
        Answers::read(answers, ended, program)
    }
}

/// The answers of a worker.
struct Answers {
    inspection: Result<Inspection, NotAComponent>,
    /// Whether the requested compilation succeeded.
    compiled: Result<(), LoadError>,
}

impl Answers {
    /// Reads the answers. The inspection is valid even if the worker `ended` badly after it.
    fn read(
        answers: Vec<Answer>,
        ended: Result<(), WorkerError>,
        program: &Path,
    ) -> Result<Self, WorkerError> {
        let mut read = Self {
            inspection: Err(NotAComponent::Empty),
            compiled: Ok(()),
        };
        let mut is_inspected = false;
        for answer in answers {
            match answer {
                Answer::OtherVersion(found) => {
                    return Err(WorkerError::OtherVersion {
                        program: program.to_owned(),
                        expected: message::VERSION,
                        found,
                    });
                }
                Answer::Inspected(inspection) => {
                    is_inspected = true;
                    read.inspection = (*inspection).map(Inspection::from);
                }
                Answer::Compiled(Ok(())) => {}
                Answer::Compiled(Err(unfit)) => read.compiled = Err(unfit.into()),
            }
        }
        match ended {
            Ok(()) if is_inspected => {}
            Ok(()) => return Err(WorkerError::Stopped("it said nothing".to_owned())),
            Err(error) if is_inspected => read.compiled = Err(error.into()),
            Err(error) => return Err(error),
        }
        Ok(read)
    }
}

impl From<Unfit> for LoadError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::DoesNotFit(reason) => Self::DoesNotFit(reason),
            Unfit::Limit(limit, allowed) => WorkerError::limit(limit.key(), allowed).into(),
        }
    }
}

/// Returns the path of this program, which works even if its file was replaced.
fn own_program() -> Option<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Some(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe().ok(),
    }
}
