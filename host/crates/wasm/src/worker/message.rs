//! Messages between a host and its worker: JSON and the component's bytes, each preceded by its
//! length.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::inspection::{Class, HandedInspection, NotAComponent};
use crate::limits::Limits;

/// The version that must be equal on both sides, because they must inspect and compile in the same
/// way.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The task of a worker.
#[derive(Serialize, Deserialize)]
pub(super) struct Task {
    pub version: String,
    pub work: Work,
    pub limits: Limits,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Work {
    /// Inspect. Also compile and link a component that fits an agent, or link the imports of one
    /// that needs trust. Keep no code.
    Inspect,
    /// Only inspect: the component is already compiled.
    Check,
    /// Inspect. Compile and link a component that fits the class, into the worker's current folder.
    Compile(Class),
}

/// The messages of a worker, in sequence.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    OtherVersion(String),
    Inspected(Box<Result<HandedInspection, NotAComponent>>),
    Compiled(Result<(), Unfit>),
}

/// Why a component with the right interfaces cannot be loaded.
#[derive(Serialize, Deserialize)]
pub(super) enum Unfit {
    DoesNotFit(String),
    Limit(WorkerLimit, u64),
}

/// The limits that a worker itself reports.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum WorkerLimit {
    Memory,
    Compiled,
}

impl WorkerLimit {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Memory => "limits.component.worker_memory_bytes",
            Self::Compiled => "limits.component.max_compiled_bytes",
        }
    }
}

pub(super) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    write_bytes(to, &serde_json::to_vec(message)?)
}

pub(super) fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

pub(super) fn read<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<M> {
    Ok(serde_json::from_slice(&read_bytes(from)?)?)
}

pub(super) fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads the complete messages in `bytes`, and ignores the rest.
pub(super) fn read_all<M: DeserializeOwned>(mut bytes: &[u8]) -> Vec<M> {
    std::iter::from_fn(|| read(&mut bytes).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stream_that_breaks_off_the_whole_messages_are_read() {
        let mut written = Vec::new();
        for n in [1, 2, 3] {
            write(&mut written, &n).expect("memory takes it");
        }
        written.truncate(written.len() - 1);
        assert_eq!(read_all::<u32>(&written), [1, 2]);
        assert_eq!(read_all::<u32>(b"no message at all"), [0; 0]);
    }
}
