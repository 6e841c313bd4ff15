//! The resident memory of a process, sampled while something runs.
//!
//! The caller decides how much is too much.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The resident memory of the process in bytes (`VmRSS`).
pub fn resident_bytes(process_id: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    resident_line(&status).ok_or_else(|| io::Error::other("the kernel shows no VmRSS"))
}

fn resident_line(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Samples a process until it is told to stop.
pub struct Sampler {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Sample>>>,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The time since the first sample.
    pub after: Duration,
    /// The resident memory.
    pub bytes: u64,
}

impl Sampler {
    /// Takes a sample every `interval`.
    pub fn start(process_id: u32, interval: Duration) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut samples = Vec::new();
            while !is_stopped.load(Ordering::Relaxed) {
                samples.push(Sample {
                    after: begun.elapsed(),
                    bytes: resident_bytes(process_id)?,
                });
                std::thread::sleep(interval);
            }
            Ok(samples)
        });
        Self { stopped, thread }
    }

    /// Stops and returns all samples.
    pub fn stop(self) -> io::Result<Vec<Sample>> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().expect("sampling does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_from_what_the_kernel_shows() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmRSS:\t    17 kB\nThreads:\t1\n";
        assert_eq!(resident_line(status), Some(17 << 10));
        assert_eq!(resident_line("Name:\tx\n"), None);
        let own = resident_bytes(std::process::id()).expect("this process is there");
        assert!(own > 1 << 20, "{own}");
    }
}
