//! Progress of long work: a bar on a terminal, or a line from time to time; and whether to go on.
//!
//! It is printed on stderr, to keep the command's output clean.

use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::print_error_line;

/// The time between two lines, when the output is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

const BAR: &str = "{msg} {bar:30} {human_pos} of {human_len}, {per_sec}, {eta} left";

/// A bar or lines. Dropping it removes the bar.
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    next_line: Instant,
}

impl Progress {
    /// Returns the progress of the work with the name `what`.
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR).expect("the template is well-formed");
            ProgressBar::new(0).with_style(style).with_message(what)
        });
        Self {
            what,
            bar,
            next_line: Instant::now() + LINE_INTERVAL,
        }
    }

    /// Shows that `done` of `total` is done.
    pub(crate) fn show(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            print_error_line(&format!("{} {done} of {total}", self.what));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether the user wants long work to stop.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for interrupts from now on. The second interrupt ends the process at once, so this
    /// is only for work that can be cut off at any point.
    pub(crate) fn watched() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if asked.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
        Self(stop)
    }

    /// Returns whether to go on.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        match self.0.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
