//! The worker's side: it confines itself, reads one task, answers and exits.

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::confine::Confines;
use super::imports;
use super::message::{self, Answer, Task, Unfit, VERSION, Work, WorkerLimit};
use crate::engine::Compiles;
use crate::inspection::{Class, inspect};
use crate::limits::Limits;
use crate::load_error::unfit_words;
use crate::{agent, engine, tool};

/// The most compiling threads, even on machines with more processors: each thread needs some of the
/// worker's memory.
const MAX_THREADS: usize = 4;

/// Does the work. Returns the exit status.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    match serve(arguments) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn serve(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let numbers: Vec<u64> = arguments
        .filter_map(|argument| argument.to_str()?.parse().ok())
        .collect();
    let [cpu_seconds, memory_bytes, file_bytes] = numbers[..] else {
        return Err(io::Error::other("a worker is started by its host"));
    };
    let confines = Confines {
        cpu_seconds,
        memory_bytes,
        file_bytes,
    };
    confines
        .enter()
        .map_err(|error| io::Error::other(format!("it cannot be confined: {error}")))?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    rayon::ThreadPoolBuilder::new()
        .num_threads(processors.min(MAX_THREADS))
        .build_global()
        .map_err(io::Error::other)?;

    let mut stdin = BufReader::new(io::stdin().lock());
    let task: Task = message::read(&mut stdin)?;
    let bytes = message::read_bytes(&mut stdin)?;
    let mut stdout = io::stdout().lock();
    if task.version != VERSION {
        return message::write(&mut stdout, &Answer::OtherVersion(VERSION.to_owned()));
    }
    answer(&task, &bytes, &mut stdout)
}

fn answer(task: &Task, bytes: &[u8], stdout: &mut impl Write) -> io::Result<()> {
    let inspected = inspect(bytes, &task.limits.component);
    let loads_as = inspected.as_ref().ok().and_then(|found| found.loads_as());
    let fits = |class: Class| {
        let inspection = inspected.as_ref().ok();
        inspection.is_some_and(|inspection| inspection.refusal_for(class).is_none())
    };
    let is_to_compile = matches!(task.work, Work::Compile(class) if fits(class));
    let inspected = inspected.map(Into::into);
    message::write(stdout, &Answer::Inspected(Box::new(inspected)))?;
    let limits = &task.limits;
    let compiled = match (task.work, loads_as) {
        (Work::Compile(class), _) if is_to_compile => {
            compile(class, bytes, limits, Some(&std::env::current_dir()?))
        }
        (Work::Inspect, Some(Class::Agent)) => compile(Class::Agent, bytes, limits, None),
        // A tool takes long to compile, and the operator who lists it gets the compiler's error
        // then.
        (Work::Inspect, Some(Class::Tool)) => link_imports(&imports::alone(bytes), limits),
        _ => Ok(()),
    };
    message::write(stdout, &Answer::Compiled(compiled))
}

/// Checks whether the tools' linker provides a component's imports.
fn link_imports(imports: &[u8], limits: &Limits) -> Result<(), Unfit> {
    let link = || {
        let engine = engine::for_one(Compiles::of(Class::Tool), limits, None)?;
        let component = Component::new(&engine, imports)?;
        tool::linker(&engine)?.instantiate_pre(&component).map(drop)
    };
    link().map_err(|error| Unfit::DoesNotFit(unfit_words(&error, limits)))
}

/// Compiles and links, as a rehearsal of everything that the host will do with the component.
fn compile(class: Class, bytes: &[u8], limits: &Limits, cache: Option<&Path>) -> Result<(), Unfit> {
    let unfit = |error: wasmtime::Error| {
        let words = unfit_words(&error, limits);
        match words.contains("out of memory") || words.contains("Cannot allocate memory") {
            true => Unfit::Limit(
                WorkerLimit::Memory,
                limits.component.worker_memory_bytes.get(),
            ),
            false => Unfit::DoesNotFit(words),
        }
    };
    let engine = engine::for_one(Compiles::of(class), limits, cache).map_err(unfit)?;
    let component = Component::new(&engine, bytes).map_err(unfit)?;
    let image = component.image_range();
    let compiled_bytes = (image.end as usize).saturating_sub(image.start as usize);
    let max_compiled_bytes = limits.component.max_compiled_bytes.get();
    if compiled_bytes as u64 > max_compiled_bytes {
        return Err(Unfit::Limit(WorkerLimit::Compiled, max_compiled_bytes));
    }
    link(class, &engine, &component).map_err(unfit)
}

fn link(class: Class, engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    match class {
        Class::Agent => agent::prepare(&agent::linker(engine)?, component).map(drop),
        Class::Tool => tool::prepare(&tool::linker(engine)?, component).map(drop),
    }
}
