//! What a worker gives up before it reads its task: files, privileges, and more of the machine than
//! its limits allow.
//!
//! A child could be confined before it starts only by code that Rust cannot check, so it confines
//! itself. What it was started with is this program's own code; what is hostile comes afterwards.

use nix::sys::resource::{Resource, setrlimit};

/// What a worker may use.
#[derive(Clone, Copy)]
pub(super) struct Confines {
    pub cpu_seconds: u64,
    pub memory_bytes: u64,
    /// The largest file that it may write.
    pub file_bytes: u64,
}

/// Open files: its pipes, and those of the cache that it fills.
const MAX_FILES: u64 = 64;

impl Confines {
    /// Confines this process, for good.
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
        // Memory that can be written. The engine reserves far more addresses than it ever uses.
        setrlimit(Resource::RLIMIT_DATA, self.memory_bytes, self.memory_bytes)?;
        setrlimit(Resource::RLIMIT_CPU, seconds, seconds.saturating_add(1))
    }
}

/// Closes what a library of the parent may have left open to its children.
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
        // The one that listed them is closed already.
        let _ = nix::unistd::close(number);
    }
}
