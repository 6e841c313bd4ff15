//! Confinement of a worker before it reads its task: it gives up files and privileges, and limits
//! its use of the machine.
//!
//! Confining a child before it starts would need unsafe code, so the worker confines itself. Until
//! then it runs only this program's own code; hostile bytes are read afterwards.

use nix::sys::resource::{Resource, setrlimit};

/// The resources that a worker may use.
#[derive(Clone, Copy)]
pub(super) struct Confines {
    pub cpu_seconds: u64,
    pub memory_bytes: u64,
    /// The largest file that the worker may write.
    pub file_bytes: u64,
}

/// The most open files: the pipes, and the files of the cache that the worker fills.
const MAX_FILES: u64 = 64;

impl Confines {
    /// Confines this process. This cannot be undone.
    pub(super) fn enter(self) -> nix::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use nix::sys::prctl;
            use nix::sys::signal::Signal;

            close_inherited();
            prctl::set_dumpable(false)?;
            prctl::set_no_new_privs()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
        }
        let seconds = self.cpu_seconds;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        setrlimit(Resource::RLIMIT_NOFILE, MAX_FILES, MAX_FILES)?;
        setrlimit(Resource::RLIMIT_FSIZE, self.file_bytes, self.file_bytes)?;
        // Limits writable memory. A limit on addresses would not work: the engine reserves far more
        // than it uses.
        setrlimit(Resource::RLIMIT_DATA, self.memory_bytes, self.memory_bytes)?;
        setrlimit(Resource::RLIMIT_CPU, seconds, seconds.saturating_add(1))
    }
}

/// Closes files that a library of the parent may have left open to its children.
#[cfg(target_os = "linux")]
fn close_inherited() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // The handle that listed the files is already closed, so this may fail.
        let _ = nix::unistd::close(number);
    }
}
