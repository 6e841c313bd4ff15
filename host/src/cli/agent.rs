//! `tavora-host agent …`: checks the agents' files before a host runs them.
//!
//! No tool is started and no server is contacted. Secrets are only looked up by name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use vault_core::SecretName;

use super::chosen_app::AppOption;
use super::global::Global;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, visible};
use super::session::Session;
use crate::config::StorageUrl;
use tavora_agents as agents;
use tavora_agents::{Agent, AgentFileError, Agents};
use tavora_platform::PlatformConfig;

#[derive(Subcommand)]
pub(crate) enum AgentCommand {
    /// Check agents' files: syntax, keys, names, URLs, and whether the secrets they name are there.
    #[command(after_help = "\
Example:
  tavora-host agent check agents

Exit status: 0 nothing but warnings, 2 an error.")]
    Check {
        /// The folder of agents, or of one agent [default: `[agents] dir`].
        dir: Option<PathBuf>,
        #[command(flatten)]
        app: AppOption,
    },
}

/// The result of the check.
#[derive(Serialize)]
struct Report {
    /// The agents without faults.
    agents: Vec<String>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Problem {
    severity: Severity,
    /// The file or folder of the problem.
    path: Option<PathBuf>,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    Error,
    Warning,
}

impl AgentCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        let Self::Check { dir, app } = self;
        let report = check(global, dir, app.name()).await?;
        output.show(&report, text)?;
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        match report.problems.iter().any(is_error) {
            true => Err(Failure::Status(2)),
            false => Ok(()),
        }
    }
}

async fn check(
    global: &Global,
    dir: Option<PathBuf>,
    app: Option<&str>,
) -> Result<Report, Failure> {
    let config = global.config()?;
    let rules = PlatformConfig::from(&config).agent_rules();
    let mut folder = config.agents;
    folder.dir = dir.or(folder.dir);
    let dir = folder.dir.clone().ok_or_else(|| {
        usage("there is no folder to check: name one, or set `dir` in [agents] of tavora.toml")
    })?;
    let agents = Agents::open(folder, rules).map_err(usage)?;
    let read = match dir.join(agents::FILE).exists() {
        // The argument may be a path such as `.`, which is no agent's id.
        true => vec![agents.read_folder(dir.canonicalize()?)],
        false => agents.check().map_err(usage)?,
    };
    let mut report = Report {
        agents: Vec::new(),
        problems: Vec::new(),
    };
    let mut wanted: Vec<(PathBuf, Agent)> = Vec::new();
    for read in read {
        match read {
            Ok(agent) => {
                let folder = match dir.join(agents::FILE).exists() {
                    true => dir.clone(),
                    false => dir.join(agent.id.as_str()),
                };
                report.agents.push(agent.id.to_string());
                wanted.push((folder.join(agents::FILE), agent));
            }
            Err(error) => report.problems.extend(errors(error)),
        }
    }
    if wanted
        .iter()
        .any(|(_, agent)| agent.secrets().next().is_some())
    {
        match held(global, app).await? {
            Ok(held) => {
                for (path, agent) in &wanted {
                    report.problems.extend(missing(path, agent, &held));
                }
            }
            Err(message) => report.problems.push(Problem {
                severity: Severity::Warning,
                path: None,
                line: None,
                column: None,
                message: format!("secrets were not looked up: {message}"),
            }),
        }
    }
    Ok(report)
}

/// Returns the names in the app's designated vault, or why there are none.
async fn held(
    global: &Global,
    app: Option<&str>,
) -> Result<Result<HashSet<SecretName>, String>, Failure> {
    let url = global.config()?.storage.url_in(&global.data);
    if matches!(url, StorageUrl::Sqlite(file) if !file.exists()) {
        return Ok(Err("there is no database yet".to_owned()));
    }
    let mut found = Ok(HashSet::new());
    Session::with(global, async |session| {
        let app = match session.app(app).await {
            Ok(app) => app,
            Err(Failure::Usage(message)) if app.is_none() => {
                found = Err(message);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        found = match app.vault_id {
            None => Err(format!("the app \"{}\" has no vault designated", app.slug)),
            Some(vault) => {
                let secrets = session.vaults.secrets(app.id, vault).await?;
                Ok(secrets.into_iter().map(|secret| secret.name).collect())
            }
        };
        Ok(())
    })
    .await?;
    Ok(found)
}

fn errors(error: AgentFileError) -> Vec<Problem> {
    let problem = |path: &Path, place: Option<(usize, usize)>, message: String| Problem {
        severity: Severity::Error,
        path: Some(path.to_owned()),
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
        message,
    };
    match error {
        AgentFileError::Faults { path, faults } => faults
            .into_iter()
            .map(|fault| problem(&path, Some((fault.line, fault.column)), fault.message))
            .collect(),
        AgentFileError::Unreadable { path, source } => {
            vec![problem(&path, None, format!("cannot read it: {source}"))]
        }
        AgentFileError::NotAFile { path } => {
            vec![problem(&path, None, "it is not a file".to_owned())]
        }
        AgentFileError::Exposed(exposed) => {
            vec![problem(exposed.path(), None, exposed.to_string())]
        }
        AgentFileError::NoId { path, message } => vec![problem(&path, None, message)],
        AgentFileError::TooLong { path, allowed } => {
            let message =
                format!("it has more bytes than agents.max_file_bytes ({allowed}) allows");
            vec![problem(&path, None, message)]
        }
    }
}

/// Lists the missing secrets. This is no error, because a secret may be stored later.
fn missing(path: &Path, agent: &Agent, held: &HashSet<SecretName>) -> Vec<Problem> {
    let missing = agent
        .secrets()
        .filter(|secret| !held.contains(&secret.name));
    missing
        .map(|secret| Problem {
            severity: Severity::Warning,
            path: Some(path.to_owned()),
            line: Some(secret.line),
            column: Some(secret.column),
            message: format!(
                "the secret \"{0}\" is not in the designated vault; `tavora-host secret put {0}` stores it",
                secret.name
            ),
        })
        .collect()
}

fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report
        .problems
        .iter()
        .map(|problem| {
            let place = [problem.line, problem.column].into_iter().flatten();
            let place: String = place.map(|number| format!(":{number}")).collect();
            let path = problem.path.as_ref();
            let path = path.map_or(String::new(), |path| format!("{}{place}: ", path.display()));
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            visible(&format!("{path}{severity}: {}", problem.message))
        })
        .collect();
    lines.push(match report.agents.as_slice() {
        [] => "no agent can be used".to_owned(),
        agents => format!("fit for use: {}", agents.join(", ")),
    });
    lines.join("\n")
}
