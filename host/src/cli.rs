//! The command line: what every command shares, and a file per command.
//!
//! Commands on data work on the store directly, beside a running host. A credential is never an argument and never
//! printed; an API key and a KEK are printed once, when they are made.

mod agent;
mod app;
mod audit;
mod backup;
mod completions;
mod demo;
mod dev;
mod kek;
mod key;
mod migrate;
mod output;
mod private_file;
mod progress;
mod restore;
mod run;
mod secret;
mod serve;
mod session;
mod staged;
mod tool;
mod vault;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use output::{Output, print_error_line, visible};

use crate::runtime::{COMPILING, worker};
use crate::telemetry::log;
use crate::telemetry::traces::Traces;

/// Runs agents with tools that use credentials, and keeps the credentials from the agents.
#[derive(Parser)]
#[command(name = "tavora-host", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tavora-host demo                             everything, end to end, in a temporary folder
  tavora-host dev                              a platform of your own in .tavora
  tavora-host vault create main && tavora-host vault designate main
  tavora-host secret put brave_api_key         asks for the value, without echo
  tavora-host run -e 'return search(\"rust\")'   an agent's JavaScript uses it, and cannot read it
  tavora-host tool inspect some.wasm           what a component could do

Exit status: 0 done, 1 it failed, 2 wrong usage. `run` and `tool inspect` have more; see their help.";

/// Options of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// The folder with the database, the admin token, the key of `dev`, and caches.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "TAVORA_DATA",
        default_value = ".tavora"
    )]
    data: PathBuf,
    /// The configuration file [default: tavora.toml, if it is there].
    #[arg(long, global = true, value_name = "FILE", env = "TAVORA_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a platform in the data folder and serve it.
    Dev(dev::Dev),
    /// Serve the HTTP API on the data folder.
    Serve(serve::Serve),
    /// Show the whole thing at work, on loopback, in a temporary folder.
    Demo(demo::Demo),
    /// Run an agent's program.
    Run(run::Run),
    /// Agents, as their files declare them.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Apps: what vaults and API keys belong to.
    #[command(subcommand)]
    App(app::AppCommand),
    /// API keys of an app.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Vaults of an app, and which one it designates.
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    /// Secrets in a vault. Values go in; none comes out.
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// The key encryption keys: which there are, and moving secrets from one to another.
    #[command(subcommand)]
    Kek(kek::KekCommand),
    /// Trusted tools, and what a component could do.
    #[command(subcommand)]
    Tool(tool::ToolCommand),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Migrate(migrate::Migrate),
    /// Print a shell's completion script.
    Completions(completions::Completions),
}

/// How a command ends.
pub(crate) enum Failure {
    /// The user asked for something that cannot be: exit status 2.
    Usage(String),
    /// It did not work: exit status 1.
    Failed(anyhow::Error),
    /// Everything has been said already.
    Status(u8),
}

impl Failure {
    /// Says what is still to be said.
    fn report(self) -> ExitCode {
        match self {
            Self::Status(status) => ExitCode::from(status),
            Self::Usage(_) => {
                print_error_line(&format!("error: {}", visible(&self.to_string())));
                ExitCode::from(2)
            }
            Self::Failed(_) => {
                print_error_line(&format!("error: {}", visible(&self.to_string())));
                ExitCode::FAILURE
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Failed(error) => f.write_str(&sentence(&**error)),
            Self::Status(status) => write!(f, "it ended with the status {status}"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) type Outcome = Result<(), Failure>;

/// Parses the arguments, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    worker::run_if_asked();
    harden();
    let cli = Cli::parse();
    let default_level = match &cli.command {
        Command::Dev(_) | Command::Serve(_) => "info".to_owned(),
        // What it provokes on purpose would only disturb its transcript.
        Command::Demo(_) => "error".to_owned(),
        _ => format!("warn,{COMPILING}=info"),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the asynchronous runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let traces = match traces(&cli, &runtime) {
        Ok(traces) => traces,
        Err(failure) => return failure.report(),
    };
    log::start(&default_level, traces.as_ref());
    let outcome = runtime.block_on(execute(cli));
    if let Some(traces) = traces {
        traces.flush();
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Starts the export of traces for the commands that have any.
fn traces(cli: &Cli, runtime: &tokio::runtime::Runtime) -> Result<Option<Traces>, Failure> {
    match &cli.command {
        Command::Dev(_) | Command::Serve(_) | Command::Run(_) | Command::Tool(_) => {
            let config = session::config(&cli.global)?;
            Traces::start(&config, runtime.handle().clone()).map_err(session::usage)
        }
        _ => Ok(None),
    }
}

async fn execute(cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    let output = Output::new(global.json);
    match command {
        Command::Dev(dev) => dev.execute(&global).await,
        Command::Serve(serve) => serve.execute(&global).await,
        Command::Demo(demo) => demo.execute().await,
        Command::Run(run) => run.execute(&global).await,
        Command::Agent(agent) => agent.execute(&global, &output).await,
        Command::App(app) => app.execute(&global, &output).await,
        Command::Key(key) => key.execute(&global, &output).await,
        Command::Vault(vault) => vault.execute(&global, &output).await,
        Command::Secret(secret) => secret.execute(&global, &output).await,
        Command::Kek(kek) => kek.execute(&global, &output).await,
        Command::Tool(tool) => tool.execute(&global, &output).await,
        Command::Audit(audit) => audit.execute(&global, &output).await,
        Command::Backup(backup) => backup.execute(&global, &output).await,
        Command::Restore(restore) => restore.execute(&global, &output).await,
        Command::Migrate(migrate) => migrate.execute(&global, &output).await,
        Command::Completions(completions) => completions.execute::<Cli>(),
    }
}

/// An error with its causes on one line; a cause that the error itself names already is not said twice.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !sentence.contains(&said) {
            sentence.push_str(": ");
            sentence.push_str(&said);
        }
        next = cause.source();
    }
    sentence
}

/// Keeps the process's memory out of core dumps and away from debuggers of the same user.
fn harden() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        eprintln!("warning: core dumps of this process cannot be turned off: {error}");
    }
}
