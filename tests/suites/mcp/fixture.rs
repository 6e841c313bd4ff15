//! A platform with a folder of agents.

use std::path::Path;

use tavora_host::platform::{AgentRun, RunError, RunReport, RunTools};
use tavora_tests::fixture::Fixture;
use tempfile::TempDir;

/// The only agent that most tests need.
pub(crate) const AGENT: &str = "one";

/// A platform, and the folder of its agents.
pub(crate) struct WithAgents {
    pub(crate) host: Fixture,
    folder: TempDir,
}

/// The text of an `agent.jsonc` with these servers.
pub(crate) fn agent_file(id: &str, servers: &str) -> String {
    format!("{{ \"id\": {id:?}, \"name\": {id:?},\n  \"mcp\": [{servers}] }}")
}

impl WithAgents {
    /// Starts with one agent and these servers, which are on these origins of loopback.
    pub(crate) async fn start(servers: &str, origins: &[&str]) -> Self {
        Self::start_with("", servers, origins).await
    }

    /// Starts in the same way, with `config` at the end of `tavora.toml`.
    pub(crate) async fn start_with(config: &str, servers: &str, origins: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), AGENT, &agent_file(AGENT, servers));
        let host = Fixture::without_secret(&format!(
            "[agents]\ndir = {:?}\n[egress]\nallow_private_origins = {origins:?}\n{config}",
            folder.path()
        ))
        .await;
        Self { host, folder }
    }

    /// Declares an agent, or replaces its declaration.
    pub(crate) fn declare(&self, id: &str, text: &str) {
        write(self.folder.path(), id, text);
    }

    /// Runs a program of an agent.
    pub(crate) async fn run_as(&self, id: &str, code: &str) -> RunReport {
        let agent = self.host.platform.agent(id).await;
        let mut run = AgentRun::new(self.host.app.id, code);
        run.tools = RunTools::Of(agent.unwrap_or_else(|error| panic!("{error}")));
        self.host.platform.run(run).await
    }

    /// Runs a program of the one agent and returns its result.
    pub(crate) async fn result(&self, code: &str) -> String {
        match self.run_as(AGENT, code).await.outcome {
            Ok(json) => json.get().to_owned(),
            Err(error) => panic!("{code}: {error}"),
        }
    }

    /// Runs a program of an agent and returns its log.
    pub(crate) async fn logs_of(&self, id: &str, code: &str) -> String {
        let agent = self.host.platform.agent(id).await;
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut run = AgentRun::new(self.host.app.id, code);
        run.tools = RunTools::Of(agent.unwrap_or_else(|error| panic!("{error}")));
        run.log = Box::new(move |line| {
            let _ = sender.send(line.to_owned());
        });
        self.host.platform.run(run).await;
        receiver.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// Runs a program of the one agent that must throw a `ToolError`. Returns its code and message.
    pub(crate) async fn tool_error(&self, code: &str) -> (String, String) {
        match self.run_as(AGENT, code).await.outcome {
            Err(RunError::Threw {
                code: Some(code),
                message,
                ..
            }) => (code, message),
            other => panic!("{code}: {other:?}"),
        }
    }
}

fn write(folder: &Path, id: &str, text: &str) {
    let folder = folder.join(id);
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::write(folder.join("agent.jsonc"), text).expect("writable");
}
