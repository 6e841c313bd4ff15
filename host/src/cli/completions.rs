//! `tavora-host completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::outcome::Outcome;
use super::output::print_line;

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell to complete in.
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute<C: CommandFactory>(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "tavora-host", &mut script);
        let script = String::from_utf8_lossy(&script);
        Ok(print_line(&match self.shell {
            // The script for a program's name with a hyphen defines its functions under one
            // spelling of the name and looks them up under another.
            Shell::Bash => script
                .replace("tavora__subcmd__host", "tavora__host")
                .into(),
            _ => script,
        })?)
    }
}
