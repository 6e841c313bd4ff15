//! `tavora-host run`: an agent's program, in the JavaScript sandbox or in a component of its own.

use std::io::Read;

use clap::Args;

use super::chosen_app::AppOption;
use super::global::Global;
use super::input_file::InputFile;
use super::outcome::{Failure, Outcome, usage};
use super::output::{print_error_line, print_json, visible};
use super::session::Session;
use tavora_platform::{AgentRun, RunError, RunTools};
use tavora_trust::component_file;

#[derive(Args)]
#[command(after_help = "\
The program is the body of an async function: `return` gives the result,
printed as JSON on stdout. What it logs goes to stderr, each line after a
bar. It has search(), tools.list(), tools.call(), tools.all(), input and
console, and require() for every tool, HTTP API and MCP server of the run;
no network, no files, no credentials.

Examples:
  tavora-host run agent.js --input '{\"city\": \"Turin\"}'
  tavora-host run --agent trip-planner -e 'return tools.list()'
  tavora-host run -e 'return search(\"wasm components\", {count: 3})'
  echo 'return 1 + 1' | tavora-host run -

Exit status: 0 a result, 1 the program threw, 2 wrong usage, 3 a limit was
hit, 4 the host or the component failed.")]
pub(crate) struct Run {
    /// The file with the program; - reads it from stdin.
    #[arg(required_unless_present_any = ["code", "component"], conflicts_with = "code")]
    file: Option<InputFile>,
    /// The program itself.
    #[arg(short = 'e', long = "execute", value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    app: AppOption,
    /// The agent whose tools it gets [default: every tool of the platform, and
    /// nothing that an agent's file declares].
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// A shorter time limit than the host's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: Option<u64>,
    /// What the program sees as `input`.
    #[arg(long, default_value = "null", value_name = "JSON")]
    input: String,
    /// Run in this component of the agent class instead of the JavaScript sandbox.
    #[arg(long, value_name = "WASM")]
    component: Option<InputFile>,
}

impl Run {
    /// Returns the files that hold the program and the component.
    pub(super) fn input_files(&mut self) -> impl Iterator<Item = &mut InputFile> {
        self.file.iter_mut().chain(&mut self.component)
    }

    pub(crate) async fn execute(self, global: &Global) -> Outcome {
        Session::with(global, async |session| self.execute_on(session).await).await
    }

    async fn execute_on(self, session: &Session) -> Outcome {
        let limits = &session.config.limits;
        let code = self.program(limits.agent.max_code_bytes)?;
        let app = session.app(self.app.name()).await?;
        let platform = session.platform().await?;
        let mut run = AgentRun::new(app.id, code);
        if let Some(id) = &self.agent {
            run.tools = RunTools::Of(platform.agent(id).await.map_err(usage)?);
        }
        run.input = self.input;
        run.timeout_ms = self.timeout_ms;
        run.log = Box::new(|line| print_error_line(&console_line(line)));
        let report = match &self.component {
            None => platform.run(run).await,
            Some(file) => {
                let path = file.path();
                let bytes = file
                    .open()
                    .and_then(|file| component_file::read(file, limits.component.max_bytes))
                    .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
                let agent = platform
                    .load_agent(bytes)
                    .await
                    .map_err(|error| usage(format!("{}: {error}", path.display())))?;
                platform.run_in(&agent, run).await
            }
        };
        match report.outcome {
            Ok(json) => Ok(print_json(json.get())?),
            Err(error) => Err(explain(error)),
        }
    }

    /// Returns the program's text. Of a program that is too long, only enough is read to notice it.
    fn program(&self, max_code_bytes: usize) -> Result<String, Failure> {
        let limit = u64::try_from(max_code_bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        if let Some(code) = &self.code {
            return Ok(code.clone());
        }
        let (name, bytes) = match &self.file {
            None => return Ok(String::new()),
            Some(file) if file.path().as_os_str() == "-" => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .take(limit)
                    .read_to_end(&mut bytes)?;
                ("stdin".to_owned(), bytes)
            }
            Some(file) => {
                let path = file.path();
                let mut bytes = Vec::new();
                file.open()
                    .and_then(|file| file.take(limit).read_to_end(&mut bytes))
                    .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
                (path.display().to_string(), bytes)
            }
        };
        if bytes.len() > max_code_bytes {
            return Err(explain(RunError::CodeTooLong {
                allowed: max_code_bytes,
            }));
        }
        String::from_utf8(bytes).map_err(|error| {
            usage(format!(
                "the program from {name} is not UTF-8: byte {} is wrong",
                error.utf8_error().valid_up_to()
            ))
        })
    }
}

/// Formats a line of the program's console. The mark distinguishes it from the host's own log on
/// stderr, which a program could imitate.
fn console_line(line: &str) -> String {
    format!("| {}", visible(line))
}

/// The exit status if the host failed and not the program.
const HOST_FAILED: u8 = 4;

/// Prints why the run ended, and returns the exit status. Text of the program is escaped for the
/// terminal.
fn explain(error: RunError) -> Failure {
    let say = |text: &str| print_error_line(&visible(text));
    match error {
        RunError::Threw {
            name,
            code,
            message,
            stack,
        } => {
            let code = code.map_or(String::new(), |code| format!(" ({code})"));
            // The program also chooses the error's name, so the name must not be at the beginning
            // of a line.
            say(&format!("uncaught {name}{code}: {message}"));
            for frame in stack.lines() {
                say(&format!("    {}", frame.trim_start()));
            }
            Failure::Status(1)
        }
        RunError::Limit(_) | RunError::CodeTooLong { .. } | RunError::InputTooLong { .. } => {
            say(&format!("error: {error}"));
            Failure::Status(3)
        }
        RunError::InvalidInput(_) => usage(error),
        RunError::MissingSandbox(_) | RunError::Failed(_) | RunError::InvalidResult(_) => {
            say(&format!("error: {error}"));
            Failure::Status(HOST_FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_writes_no_line_that_is_not_marked_as_its_own() {
        let forged = "x\n2026-11-27T00:00:00Z ERROR forged\r\u{9b}8m\u{202e}\u{2066}\u{1b}[2J";
        assert_eq!(
            console_line(forged),
            "| x\\n2026-11-27T00:00:00Z ERROR forged\\r\\u{9b}8m\\u{202e}\\u{2066}\\u{1b}[2J"
        );
    }
}
