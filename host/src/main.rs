//! The `tavora-host` binary. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tavora_host::cli::main()
}
