//! `cargo xtask TASK`: sets this project up, builds, tests, measures and shows it. Each task has a
//! file. Only this crate knows how things are built.

mod bench;
mod c_compiler;
mod debian;
mod demo;
mod dev;
mod floors;
mod guests;
mod lint;
mod project;
mod reference;
mod setup;
mod step;
mod test;
mod test_tools;
mod tool;
mod wasm_toolchain;

use anyhow::{Result, bail};
use project::Project;
use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK [ARGUMENTS]

  setup    make ready what the build needs: the wasm target and a C compiler for it
  guests   build the components that the host embeds (does the set-up itself)
  tool     build a tool of your own, a crate in the folder FOLDER, into a component
  demo     build everything and show it, end to end, on loopback
  dev      build everything and start an embedded platform (arguments go to `tavora-host dev`)
  test     build everything, run every test and every lint (--long kills longer; with other arguments,
           run what `cargo test` runs with them)
  floors   tell which files need each other in a circle, and which crates depend upward
  reference
           write the example configuration and the references anew, from the code
  test-tools
           install what some suites need besides Rust; without it they are skipped
  bench    build everything and measure it (--quick for a look, --long for the large database)
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut args = env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let project = Project::here();
    match task.as_str() {
        "setup" => setup::run(&project).map(|_| ExitCode::SUCCESS),
        "guests" => guests::run(&project).map(|()| ExitCode::SUCCESS),
        "tool" => tool::run(&project, &rest).map(|()| ExitCode::SUCCESS),
        "demo" => demo::run(&project, &rest),
        "dev" => dev::run(&project, &rest),
        "test" => test::run(&project, &rest),
        "floors" => floors::run(&project),
        "reference" => reference::run(&project).map(|()| ExitCode::SUCCESS),
        "test-tools" => test_tools::run(&project).map(|complete| match complete {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        }),
        "bench" => bench::run(&project, &rest).map(|()| ExitCode::SUCCESS),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no task \"{other}\"\n\n{USAGE}"),
    }
}
