//! `tavora-host completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Outcome;

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell to complete in.
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute<C: CommandFactory>(self) -> Outcome {
        clap_complete::generate(self.shell, &mut C::command(), "tavora-host", &mut std::io::stdout());
        Ok(())
    }
}
