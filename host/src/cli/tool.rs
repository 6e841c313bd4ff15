//! `tavora-host tool …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::chosen_app::AppOption;
use super::global::Global;
use super::http_check::HttpCheck;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, print_error_line, print_json, table, visible};
use super::session::Session;
use tavora_platform::{AgentRun, CredentialView, GrantedBy, ToolConfig, ToolView};
use tavora_scrub::shown;
use tavora_trust::component_file;
use tavora_wasm::inspection::{Fit, Inspection};
use tavora_wasm::tool::ToolName;
use tavora_wasm::worker::Worker;

#[derive(Subcommand)]
pub(crate) enum ToolCommand {
    /// List the trusted tools with their grants.
    List,
    /// Show what a component imports, the class it fits, and the authority it would have.
    #[command(
        after_help = "Exit status: 0 fits an agent, 3 needs trust, 4 fits no class, 2 not a component or a
limit of the worker was hit."
    )]
    Inspect {
        /// The component's file.
        file: PathBuf,
    },
    /// Show what an OpenAPI document becomes: its operations, and what is left out and why.
    #[command(
        after_help = "Exit status: 0 something can be called, 2 the document cannot be used or has no operation that is
allowed. Without --allow, everything is."
    )]
    HttpCheck {
        /// The document: OpenAPI 3.0 or 3.1, JSON or YAML.
        file: PathBuf,
        /// A pattern of `allow`, as in "GET /repos/*/issues". May be given several times.
        #[arg(long, value_name = "PATTERN")]
        allow: Vec<String>,
    },
    /// Call one operation of a tool, as an agent would. The answer is scrubbed, as it is for an
    /// agent.
    Call {
        /// The tool.
        tool: String,
        /// The operation.
        operation: String,
        /// The input, a JSON object.
        #[arg(long, default_value = "{}", value_name = "JSON")]
        input: String,
        #[command(flatten)]
        app: AppOption,
    },
}

impl ToolCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        match self {
            Self::List => {
                Session::with(global, async |session| {
                    let tools = session.platform().await?.trusted_tools();
                    Ok(output.show(&tools, |tools| list(tools))?)
                })
                .await
            }
            Self::Inspect { file } => {
                let config = global.config()?;
                let bytes = std::fs::File::open(&file)
                    .and_then(|file| component_file::read(file, config.limits.component.max_bytes))
                    .map_err(|error| usage(format!("cannot read {}: {error}", file.display())))?;
                let inspection = Worker::new(&config.worker, &config.limits)
                    .inspect(bytes)
                    .await
                    .map_err(|error| usage(format!("{}: {error}", file.display())))?;
                let listed = config.tools.iter().filter(|(_, tool)| is_of(tool, &file));
                let listed: Vec<Listed> = listed.map(Listed::of).collect();
                let inspected = Inspected { inspection, listed };
                output.show(&inspected, describe)?;
                let inspection = inspected.inspection;
                match inspection.class {
                    Fit::Agent => Ok(()),
                    Fit::NeedsTrust { .. } => Err(Failure::Status(3)),
                    Fit::NoClass { .. } => Err(Failure::Status(4)),
                }
            }
            Self::HttpCheck { file, allow } => {
                let config = global.config()?;
                let check = HttpCheck::of(&file, allow, &config.limits.openapi)?;
                Ok(output.show(&check, HttpCheck::text)?)
            }
            Self::Call {
                tool,
                operation,
                input,
                app,
            } => {
                Session::with(global, async |session| {
                    let app = session.app(app.name()).await?;
                    let platform = session.platform().await?;
                    let identity = AgentRun::new(app.id, "").identity;
                    match platform
                        .call_tool(identity, &tool, &operation, &input)
                        .await
                    {
                        Ok(json) => Ok(print_json(&json)?),
                        Err(error) => {
                            print_error_line(&format!(
                                "error: {} ({})",
                                visible(&error.message),
                                visible(&error.code)
                            ));
                            Err(Failure::Status(1))
                        }
                    }
                })
                .await
            }
        }
    }
}

/// Limits the operations of a tool that the list names.
const MAX_LISTED: usize = 8;

fn list(tools: &[ToolView]) -> String {
    let rows: Vec<_> = tools
        .iter()
        .map(|tool| {
            let names = tool.operations.iter().map(|it| it.name.clone());
            let mut operations: Vec<String> = names.collect();
            let more = operations.len().saturating_sub(MAX_LISTED);
            if more > 0 {
                operations.truncate(MAX_LISTED);
                operations.push(format!("and {more} more"));
            }
            let origins: Vec<String> = tool.origins.iter().map(ToString::to_string).collect();
            [
                tool.name.clone(),
                operations.join(" "),
                match tool.granted_by {
                    GrantedBy::Manifest => secrets(tool),
                    GrantedBy::AgentFile => "by each agent's file".to_owned(),
                },
                origins.join(" "),
            ]
        })
        .collect();
    table(
        ["TOOL", "OPERATIONS", "SECRETS", "ORIGINS"],
        &rows,
        "no tools",
    )
}

/// Lists each secret with its slots, or with the word "revealed".
fn secrets(tool: &ToolView) -> String {
    let lent = tool.lent.iter().map(|lent| {
        let slots: Vec<String> = lent.slots.iter().map(ToString::to_string).collect();
        format!("{} ({})", lent.secret, slots.join(" or "))
    });
    let revealed = tool
        .revealed
        .iter()
        .map(|name| format!("{name} (revealed)"));
    lent.chain(revealed).collect::<Vec<_>>().join(", ")
}

/// A component, and its grants in the configuration.
#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    inspection: Inspection,
    /// The tools of the configuration whose component is this file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listed: Vec<Listed>,
}

/// The secrets of one tool in the configuration.
#[derive(Serialize)]
struct Listed {
    tool: String,
    lent: Vec<CredentialView>,
    revealed: Vec<String>,
}

impl Listed {
    fn of((name, tool): (&ToolName, &ToolConfig)) -> Self {
        Self {
            tool: name.as_str().to_owned(),
            lent: tool.lent(),
            revealed: tool.reveal.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Whether the tool's component is this file.
fn is_of(tool: &ToolConfig, file: &Path) -> bool {
    let found = |path: &Path| path.canonicalize().ok();
    let component = tool.component.as_deref().and_then(found);
    component.is_some() && component == found(file)
}

fn describe(inspected: &Inspected) -> String {
    let Inspected { inspection, listed } = inspected;
    let mut lines = vec![format!("digest   {}", inspection.digest)];
    // Names that are no interface only connect the component's own parts. `--json` lists them too.
    let interfaces = inspection
        .imports
        .iter()
        .filter(|import| import.name.contains(':'));
    for import in interfaces {
        lines.push(format!(
            "imports  {} ({})",
            shown::name(&import.name),
            import.place
        ));
    }
    if inspection.imports.is_empty() {
        lines.push("imports  nothing".to_owned());
    }
    for export in &inspection.exports {
        lines.push(format!("exports  {}", shown::name(export)));
    }
    match &inspection.class {
        Fit::Agent => lines.push(
            "class    agent: it can call tools that are granted to it, and nothing else".to_owned(),
        ),
        Fit::NeedsTrust { authority } => {
            lines.push("class    trusted tool: it runs only if tavora.toml lists it".to_owned());
            lines.extend(authority.iter().map(|what| format!("may      {what}")));
        }
        Fit::NoClass { reasons } => {
            lines.push("class    none: the host refuses it".to_owned());
            lines.extend(reasons.iter().map(|reason| format!("because  {reason}")));
        }
    }
    for Listed {
        tool,
        lent,
        revealed,
    } in listed
    {
        lines.push(format!("listed   as {tool:?}"));
        for lent in lent {
            let slots: Vec<String> = lent.slots.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "uses     {} in {}",
                lent.secret,
                slots.join(" or ")
            ));
        }
        for name in revealed {
            lines.push(format!("sees     {name} (revealed)"));
        }
    }
    lines.join("\n")
}
