//! The setting of the demo: a platform in a temporary folder with an app, an agent, and the
//! upstreams of its tools.

use std::path::Path;
use std::sync::{Arc, Mutex};

use vault_core::{
    App, AppName, Keyring, LocalKek, Metadata, SecretValue, SecretVaults, SqliteOptions,
    SqliteStore, VaultName, VaultView,
};

use super::transcript::Transcript;
use super::upstreams::{Credential, Upstreams};
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::session::operator;
use crate::config::Config;
use tavora_agents::{Agent, FILE};
use tavora_platform::{AgentRun, Platform, RunReport, RunTools};

const AGENT: &str = "trip-planner";

/// The secrets that the tools resolve: those of the search tool, the router of models, the MCP
/// server and the HTTP API.
const SECRETS: [&str; 4] = [
    "brave_api_key",
    "gemini_api_key",
    "TASKLIST_BEARER",
    "tracker_token",
];

/// State that the scenes share.
pub(crate) struct Stage {
    pub platform: Platform,
    pub upstreams: Upstreams,
    pub app: App,
    pub vault: VaultView,
    pub credentials: [Credential; 4],
    pub agent: Arc<Agent>,
}

impl Stage {
    pub(crate) async fn set_up(
        folder: &Path,
        transcript: &mut Transcript,
    ) -> Result<Self, Failure> {
        let credentials = make_credentials()?;
        let upstreams = Upstreams::start(&credentials).await?;
        let agents = folder.join("agents");
        let declaration = declare_agent(&agents, upstreams.task_list.url())?;
        let entry = tracker_entry(upstreams.tracker.url());
        let config = Config::parse(&format!(
            "[agents]\ndir = {agents:?}\n\
             [egress]\nallow_private_origins = {:?}\n\
             [tools.brave-search.config]\nbase_url = {:?}\n\
             [tools.llm-router.config]\ngemini_base_url = {:?}\n{entry}",
            upstreams.all().map(|upstream| upstream.url()),
            upstreams.search_engine.url(),
            upstreams.model.url(),
        ))
        .map_err(Failure::Usage)?;
        let keyring = Keyring::local(&LocalKek::make_text(), None)?;
        let store = SqliteStore::open(folder.join("tavora.db"), SqliteOptions::default())?;
        let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await?;
        transcript.say("a database and a key encryption key, made for this demo");
        let platform = Platform::start(vaults, &config, None).await?;
        let (app, vault) = make_app(&platform).await?;
        transcript.say("an app `demo` with a vault `main`, which is empty");
        transcript.say(&format!("an agent, declared in {AGENT}/{FILE}:"));
        transcript.quote(&declaration);
        transcript.say("an HTTP API, declared as the tool `tracker` in tavora.toml:");
        transcript.quote(entry.trim_end());
        let agent = platform
            .agent(AGENT)
            .await
            .map_err(|error| Failure::Usage(error.to_string()))?;
        transcript.say(
            "the trusted tools that this grants, what each may resolve, and where that may go:",
        );
        for tool in platform.tools_of(&agent) {
            for (secret, origins) in &tool.bind {
                // The router knows more providers than the demo has.
                if SECRETS.contains(&secret.as_str()) {
                    let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
                    transcript.say(&format!(
                        "  {:<14} {:<16} {}",
                        tool.name,
                        secret.as_str(),
                        origins.join(" ")
                    ));
                }
            }
        }
        Ok(Self {
            platform,
            upstreams,
            app,
            vault,
            credentials,
            agent,
        })
    }

    /// Runs a program as the agent, for `app`. Returns the report and the log.
    pub(crate) async fn run_for(&self, app: &App, code: &str) -> (RunReport, Vec<String>) {
        let logged = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&logged);
        let mut run = AgentRun::new(app.id, code);
        run.tools = RunTools::Of(Arc::clone(&self.agent));
        run.log = Box::new(move |line| {
            sink.lock()
                .expect("no holder of this lock panics")
                .push(line.to_owned());
        });
        let report = self.platform.run(run).await;
        let logged = std::mem::take(&mut *logged.lock().expect("no holder of this lock panics"));
        (report, logged)
    }

    pub(crate) async fn run(&self, code: &str) -> RunReport {
        self.run_for(&self.app, code).await.0
    }

    /// Stores the credentials in the app's vault.
    pub(crate) async fn store_credentials(&self, transcript: &mut Transcript) -> Outcome {
        for Credential { name, value } in &self.credentials {
            let value = SecretValue::new(value.clone())?;
            let stored = self
                .platform
                .vaults()
                .put_secret(
                    &operator(),
                    self.app.id,
                    self.vault.id,
                    &name.parse()?,
                    &value,
                )
                .await?;
            transcript.say(&format!("stored: {}", serde_json::to_string(&stored)?));
        }
        Ok(())
    }
}

fn make_credentials() -> Result<[Credential; 4], Failure> {
    let mut bytes = [0_u8; 64];
    getrandom::fill(&mut bytes)?;
    let mut random = bytes.chunks(bytes.len() / SECRETS.len());
    Ok(SECRETS.map(|name| Credential {
        name,
        value: format!(
            "demo-{}",
            hex::encode(random.next().expect("as many as there are names"))
        ),
    }))
}

/// Returns the entry of the HTTP API. It is all that makes the API a tool.
fn tracker_entry(url: &str) -> String {
    format!(
        r#"[tools.tracker.http]
base_url = "{url}/api"
credential = {{ secret = "tracker_token", slot = {{ header = "X-Tracker-Token" }} }}
allow = ["GET /issues/*", "POST /issues"]
"#
    )
}

/// Writes the agent's file. Returns its text.
fn declare_agent(agents: &Path, task_list_url: &str) -> Result<String, Failure> {
    let folder = agents.join(AGENT);
    std::fs::create_dir_all(&folder)?;
    let declaration = format!(
        r#"{{
  "id": "{AGENT}", "name": "Trip planner",
  "tools": ["brave-search", "tracker"], // search(), require('tracker')
  "model": "gemini-2.5-flash",         // ai()
  "mcp": [                             // require('tasklist')
    {{ "name": "tasklist", "url": "{task_list_url}/mcp",
      "auth": {{ "type": "bearer", "tokenRef": "TASKLIST_BEARER" }} }},
  ],
}}"#
    );
    std::fs::write(folder.join(FILE), &declaration)?;
    Ok(declaration)
}

async fn make_app(platform: &Platform) -> Result<(App, VaultView), Failure> {
    let vaults = platform.vaults();
    let name = AppName::try_from("demo".to_owned())?;
    let app = vaults.create_app(&operator(), name, None, None).await?;
    let name = VaultName::try_from("main".to_owned())?;
    let vault = vaults
        .create_vault(&operator(), app.id, name, Metadata::default())
        .await?;
    Ok((app, vault))
}
