//! The command line: the parts that commands share, and a file for each command.
//!
//! Commands on data work on the store directly, beside a running host. A credential is never an
//! argument and never printed. The exceptions are an API key and a KEK, which are printed once,
//! when they are made.

mod agent;
mod app;
mod audit;
mod backup;
mod chosen_app;
mod completions;
mod demo;
mod dev;
mod global;
mod http_check;
mod input_file;
mod kek;
mod key;
mod migrate;
mod outcome;
mod output;
mod owner;
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

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use global::{Early, Global};
use input_file::InputFile;
use outcome::{Failure, Outcome, usage};
use output::{Output, print_error_line, visible};
use owner::Owner;

use crate::config::StorageUrl;
use tavora_telemetry::log;
use tavora_telemetry::traces::Traces;
use tavora_wasm::{COMPILING, worker};

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

/// All commands, with what each takes.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Where a command's data is.
struct DataPlace {
    folder: PathBuf,
    database: Option<PathBuf>,
}

impl Command {
    /// Returns the data that the command works on, or `None` if it works on none.
    fn data(&self, global: &Global) -> Result<Option<DataPlace>, Failure> {
        let url = match self {
            Self::Demo(_)
            | Self::Completions(_)
            | Self::Kek(kek::KekCommand::Generate { .. })
            | Self::Tool(tool::ToolCommand::Inspect { .. }) => return Ok(None),
            Self::Migrate(migrate) => return Ok(migrate.database().and_then(DataPlace::of)),
            _ => global.config()?.storage.url_in(&global.data),
        };
        Ok(Some(DataPlace {
            folder: global.data.clone(),
            database: match url {
                StorageUrl::Sqlite(file) => Some(file),
                StorageUrl::Postgres(_) => None,
            },
        }))
    }

    /// Returns the files that the user named as input.
    fn input_files(&mut self) -> Vec<&mut InputFile> {
        match self {
            Self::Restore(restore) => vec![&mut restore.file],
            Self::Secret(secret) => secret.input_file().into_iter().collect(),
            Self::Run(run) => run.input_files().collect(),
            _ => Vec::new(),
        }
    }
}

impl DataPlace {
    /// Returns the absolute path of the folder, or of the database's folder.
    fn canonical(&self) -> std::io::Result<PathBuf> {
        self.folder.canonicalize().or_else(|error| {
            let parent = self.database.as_deref().and_then(Path::parent);
            parent.map_or(Err(error), Path::canonicalize)
        })
    }

    /// Returns the folder of a database.
    fn of(database: PathBuf) -> Option<Self> {
        let folder = std::path::absolute(&database).ok()?.parent()?.to_owned();
        Some(Self {
            folder,
            database: Some(database),
        })
    }
}

/// Parses the arguments, runs the command, and returns the exit status.
pub fn main() -> ExitCode {
    worker::run_if_asked();
    harden();
    let mut cli = Cli::parse();
    if let Err(failure) = log::early(|| become_owner(&mut cli)) {
        return report(failure);
    }
    let default_level = match &cli.command {
        Command::Dev(_) | Command::Serve(_) => "info".to_owned(),
        // The demo provokes errors on purpose, and their log lines would disturb its transcript.
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
    let traces = match log::early(|| traces(&cli, &runtime)) {
        Ok(traces) => traces,
        Err(failure) => return report(failure),
    };
    log::start(&default_level, traces.as_ref());
    let outcome = runtime.block_on(execute(cli));
    if let Some(traces) = traces {
        traces.flush();
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(failure),
    }
}

/// Takes the rights of the user who owns the data, if root runs a command on another user's data.
/// Files that only root may read are read before.
fn become_owner(cli: &mut Cli) -> Outcome {
    let Some(place) = cli.command.data(&cli.global)? else {
        return Ok(());
    };
    let Some(owner) = Owner::to_become(&place.folder, place.database.as_deref()) else {
        return Ok(());
    };
    cli.global.early = Early::read(&cli.global);
    cli.global.early.owner = Some(owner.user);
    for file in cli.command.input_files() {
        file.open_early();
    }
    let (has_folder, folder) = (place.folder.exists(), place.canonical());
    let done = folder.and_then(|folder| {
        owner.become_for(&folder)?;
        Ok(folder)
    });
    let folder = done.map_err(|error| {
        Failure::Usage(format!(
            "{} belongs to another user (id {}), whose rights this process cannot take: {error}; run the command as that user",
            place.folder.display(),
            owner.user
        ))
    })?;
    if has_folder {
        cli.global.data.clone_from(&folder);
    }
    // The change of user may have turned core dumps on again.
    harden();
    print_error_line(&format!(
        "note: this works as the user {}, to whom {} belongs",
        owner.user,
        folder.display()
    ));
    Ok(())
}

/// Starts the export of traces, for the commands that have traces.
fn traces(cli: &Cli, runtime: &tokio::runtime::Runtime) -> Result<Option<Traces>, Failure> {
    match &cli.command {
        Command::Dev(_) | Command::Serve(_) | Command::Run(_) | Command::Tool(_) => {
            let config = cli.global.config()?;
            let handle = runtime.handle().clone();
            Traces::start(&config.telemetry, config.extra_ca_file(), handle).map_err(usage)
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

/// Prints the failure, unless it was printed already, and returns the exit status.
fn report(failure: Failure) -> ExitCode {
    match failure {
        Failure::Status(status) => ExitCode::from(status),
        Failure::Usage(_) => {
            print_error_line(&format!("error: {}", visible(&failure.to_string())));
            ExitCode::from(2)
        }
        Failure::Failed(_) => {
            print_error_line(&format!("error: {}", visible(&failure.to_string())));
            ExitCode::FAILURE
        }
    }
}

/// Excludes the process's memory from core dumps, and from debuggers of the same user.
fn harden() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        eprintln!("warning: core dumps of this process cannot be turned off: {error}");
    }
}
