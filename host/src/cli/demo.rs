//! `tavora-host demo`: the main job, end to end, for someone who has never seen it.
//!
//! Everything is real but the search engine, which is an HTTP server on loopback that checks the credential as the
//! real one does. It leaves nothing behind: the data is in a temporary folder.

mod attempts;
mod search_engine;
mod transcript;

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use vault_core::{
    App, AppName, AuditQuery, Keyring, LocalKek, Metadata, SecretName, SecretValue, SecretVaults,
    SqliteOptions, SqliteStore, VaultName, VaultView, audit::action,
};

use super::session::operator;
use super::{Failure, Outcome};
use crate::config::Config;
use crate::platform::{AgentRun, Platform, RunError, RunReport};
use search_engine::SearchEngine;
use transcript::Transcript;

/// The secret that the search tool resolves.
const SECRET_NAME: &str = "brave_api_key";

/// A component of the agent class but for one import too many.
const AGENT_THAT_WANTS_SECRETS: &str = include_str!("demo/agent-that-wants-secrets.wat");

#[derive(Args)]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn execute(self) -> Outcome {
        let folder = tempfile::tempdir()?;
        let mut transcript = Transcript::default();
        play(folder.path(), &mut transcript).await?;
        match transcript.close() {
            0 => Ok(()),
            _ => Err(Failure::Status(1)),
        }
    }
}

/// What the scenes share.
struct Stage {
    platform: Platform,
    engine: SearchEngine,
    app: App,
    vault: VaultView,
    /// The credential. Random, so that finding it anywhere is no accident.
    credential: String,
}

impl Stage {
    async fn run_as(&self, app: &App, code: &str) -> (RunReport, Vec<String>) {
        let logged = Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = Arc::clone(&logged);
        let mut run = AgentRun::new(app.id, code);
        run.log = Box::new(move |line| {
            sink.lock()
                .expect("no holder of this lock panics")
                .push(line.to_owned());
        });
        let report = self.platform.run(run).await;
        let logged = std::mem::take(&mut *logged.lock().expect("no holder of this lock panics"));
        (report, logged)
    }

    async fn run(&self, code: &str) -> RunReport {
        self.run_as(&self.app, code).await.0
    }
}

async fn play(folder: &Path, transcript: &mut Transcript) -> Outcome {
    transcript.scene("A platform in a temporary folder");
    let stage = set_up(folder, transcript).await?;

    transcript
        .scene("No vault designated, then no secret: clear errors, never an empty credential");
    refuse_without_credential(&stage, transcript).await?;

    transcript.scene("The secret is stored; an agent's JavaScript uses it");
    search_with_credential(&stage, transcript).await?;

    transcript.scene("The same agent tries to get at the secret");
    attempts::all(&stage, transcript).await?;

    transcript.scene("An agent's own component that imports `secrets`");
    refuse_component(&stage, transcript).await?;

    transcript.scene("What is left behind");
    look_behind(&stage, folder, transcript).await
}

async fn set_up(folder: &Path, transcript: &mut Transcript) -> Result<Stage, Failure> {
    let credential = format!(
        "demo-{}",
        hex::encode(getrandom::u64()?.to_be_bytes().repeat(2))
    );
    let engine = SearchEngine::start(&credential).await?;
    let config = Config::parse(&format!(
        "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n",
        engine.url()
    ))
    .map_err(Failure::Usage)?;
    let keyring = Keyring::local(&LocalKek::make_text(), None)?;
    let store = SqliteStore::open(folder.join("tavora.db"), SqliteOptions::default())?;
    let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await?;
    transcript.say("a database and a key encryption key, made for this demo");

    let platform = Platform::start(vaults, &config, None).await?;
    for tool in platform.tools() {
        transcript.say(&format!(
            "trusted tool {} may resolve {}; it reaches {}",
            tool.name,
            tool.secrets.join(", "),
            engine.url()
        ));
    }
    let vaults = platform.vaults();
    let app = vaults
        .create_app(
            &operator(),
            AppName::try_from("demo".to_owned())?,
            None,
            None,
        )
        .await?;
    let vault = vaults
        .create_vault(
            &operator(),
            app.id,
            VaultName::try_from("main".to_owned())?,
            Metadata::default(),
        )
        .await?;
    transcript.say("an app `demo` with a vault `main`");
    Ok(Stage {
        platform,
        engine,
        app,
        vault,
        credential,
    })
}

async fn refuse_without_credential(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    let code = "return search('rust')";
    let report = stage.run(code).await;
    transcript.check(
        "without a designated vault, search() says so",
        thrown(
            &report,
            "no_vault_designated",
            "app has no vault designated",
        ),
        &shown(&report),
    );
    let vaults = stage.platform.vaults();
    vaults
        .designate(&operator(), stage.app.id, Some(stage.vault.id))
        .await?;
    let report = stage.run(code).await;
    let message = format!("secret \"{SECRET_NAME}\" is not in the app's vault");
    transcript.check(
        "with an empty vault, search() names the missing secret",
        thrown(&report, "secret_not_found", &message),
        &shown(&report),
    );
    transcript.check(
        "the search engine was not asked",
        stage.engine.requests().is_empty(),
        &format!("it saw {} requests", stage.engine.requests().len()),
    );
    Ok(())
}

async fn search_with_credential(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    let vaults = stage.platform.vaults();
    let name = SecretName::try_from(SECRET_NAME.to_owned())?;
    let value = SecretValue::new(stage.credential.clone())?;
    let stored = vaults
        .put_secret(&operator(), stage.app.id, stage.vault.id, &name, &value)
        .await?;
    transcript.say(&format!("stored: {}", serde_json::to_string(&stored)?));
    let report = stage
        .run("const results = search('rust wasm', {count: 2});\nreturn results.map(r => r.title)")
        .await;
    let titles = report.outcome.as_ref().map(|json| json.get().to_owned());
    transcript.check(
        "search('rust wasm') gives results",
        titles.is_ok_and(|titles| titles == r#"["rust wasm: result 1","rust wasm: result 2"]"#),
        &shown(&report),
    );
    transcript.check(
        "the search engine got the credential, in its header",
        stage
            .engine
            .requests()
            .iter()
            .any(|request| request.authorised),
        "it saw no valid X-Subscription-Token",
    );
    Ok(())
}

async fn refuse_component(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    let component = wat::parse_str(AGENT_THAT_WANTS_SECRETS)?;
    let refusal = match stage.platform.load_agent(component).await {
        Ok(_) => "it was loaded".to_owned(),
        Err(error) => error.to_string(),
    };
    transcript.check(
        "it is refused when it is loaded, by the name of the import",
        refusal.contains("tavora:platform/secrets@0.1.0"),
        &refusal,
    );
    transcript.say(&refusal);
    Ok(())
}

async fn look_behind(stage: &Stage, folder: &Path, transcript: &mut Transcript) -> Outcome {
    let vaults = stage.platform.vaults();
    let entries = vaults
        .audit_entries(AuditQuery {
            app_id: Some(stage.app.id),
            limit: Some(1000),
            ..AuditQuery::default()
        })
        .await?
        .entries;
    let count = |action: &str| {
        entries
            .iter()
            .filter(|entry| entry.action == action)
            .count()
    };
    transcript.check(
        "every release is in the audit, and so is every leak that was blocked",
        count(action::SECRET_RELEASED) > 0 && count("leak.blocked") > 0,
        &format!("{} entries", entries.len()),
    );
    transcript.say(&format!(
        "{} entries: {} releases, {} blocked leaks",
        entries.len(),
        count(action::SECRET_RELEASED),
        count("leak.blocked")
    ));
    let report = vaults.audit_verify(None).await?;
    transcript.check(
        "the audit chain verifies",
        report.is_clean(),
        &format!("{} findings", report.findings_total),
    );
    let found = files_with(folder, stage.credential.as_bytes())?;
    transcript.check(
        "no byte of the credential is in the database or its log",
        found.is_empty(),
        &found.join(", "),
    );
    transcript.check(
        "this transcript does not hold the credential",
        !transcript.contains(&stage.credential),
        "it does",
    );
    Ok(())
}

/// Whether the program threw a `ToolError` of that code and message.
fn thrown(report: &RunReport, expected: &str, expected_message: &str) -> bool {
    matches!(&report.outcome, Err(RunError::Threw { name, code: Some(code), message, .. })
        if name == "ToolError" && code == expected && message == expected_message)
}

/// A report's outcome on one line.
fn shown(report: &RunReport) -> String {
    match &report.outcome {
        Ok(json) => json.get().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The files in `folder` that hold `needle`.
fn files_with(folder: &Path, needle: &[u8]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}
