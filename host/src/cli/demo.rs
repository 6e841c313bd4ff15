//! `tavora-host demo`: shows the main use from end to end, to somebody who has never seen it.
//!
//! Everything is real, except for the three upstreams: these are HTTP servers on loopback that
//! check the credential as the real ones do. The data is in a temporary folder, so nothing stays
//! behind.

mod attempts;
mod stage;
mod transcript;
mod upstreams;

use std::path::Path;

use clap::Args;
use vault_core::audit::{action, outcome};
use vault_core::{Actor, AuditEntry, AuditQuery};

use super::outcome::{Failure, Outcome};
use super::session::operator;
use stage::Stage;
use tavora_platform::{RunError, RunReport};
use transcript::{Transcript, shown};
use upstreams::Credential;

/// An agent's program that uses all three tools.
const PROGRAM: &str = r#"const pages = search('europe by train', {count: 2});
const name = ai('Name a trip after these pages: ' + pages.map(page => page.title).join(', '));
const tasks = require('tasklist').create_task_list({name});
const issue = require('tracker').request({method: 'POST', path: '/issues', body: {title: name}});
return [pages.length, name, tasks.id, tasks.note, issue.number];"#;

/// The program's result.
const RESULT: &str = r#"[2,"Europe by night train",1,"made",1]"#;

/// A component of the agent class that has one import too many.
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

async fn play(folder: &Path, transcript: &mut Transcript) -> Outcome {
    transcript.scene("A platform in a temporary folder");
    let stage = Stage::set_up(folder, transcript).await?;

    transcript
        .scene("No vault designated, then no secrets: clear errors, never an empty credential");
    refuse_without_credentials(&stage, transcript).await?;

    transcript.scene("The secrets are stored; one program of the agent uses four tools");
    use_four_tools(&stage, transcript).await?;

    transcript.scene("The same agent tries to get at the secrets");
    attempts::all(&stage, transcript).await?;

    transcript.scene("An agent's own component that imports `secrets`");
    refuse_component(&stage, transcript).await?;

    transcript.scene("What is left behind");
    look_behind(&stage, folder, transcript).await
}

async fn refuse_without_credentials(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    let report = stage.run("return search('rust')").await;
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
    let calls = [
        "search('rust')",
        "ai('hello')",
        "require('tasklist')",
        "require('tracker').request({method: 'GET', path: '/issues/1'})",
    ];
    for (call, Credential { name, .. }) in calls.into_iter().zip(&stage.credentials) {
        let report = stage.run(&format!("return {call}")).await;
        let message = format!("secret \"{name}\" is not in the app's vault");
        transcript.check(
            &format!("with an empty vault, {call} says: {message}"),
            thrown(&report, "secret_not_found", &message),
            &shown(&report),
        );
    }
    let asked: usize = requests(stage).into_iter().sum();
    transcript.check(
        "no upstream was asked",
        asked == 0,
        &format!("they saw {asked} requests"),
    );
    Ok(())
}

async fn use_four_tools(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    stage.store_credentials(transcript).await?;
    transcript.say("the program:");
    transcript.quote(PROGRAM);
    let report = stage.run(PROGRAM).await;
    transcript.check(
        &format!("it gives {RESULT}"),
        report
            .outcome
            .as_ref()
            .is_ok_and(|json| json.get() == RESULT),
        &shown(&report),
    );
    let upstreams = stage.upstreams.all();
    let is_authorised = upstreams.map(|upstream| {
        let requests = upstream.requests();
        !requests.is_empty() && requests.iter().all(|request| request.authorised)
    });
    transcript.check(
        "the search engine, the model, the MCP server and the HTTP API each got their credential",
        is_authorised == [true; 4],
        &format!("they did: {is_authorised:?}"),
    );
    let released = released(&entries(stage).await?);
    let expected = ["brave-search", "llm-router", "mcp:tasklist", "tracker"];
    let expected = expected.into_iter().zip(&stage.credentials);
    transcript.check(
        "the audit has who used which of them",
        expected
            .clone()
            .all(|(tool, secret)| released.contains(&(tool.to_owned(), secret.name.to_owned())))
            && released.iter().all(|(tool, secret)| {
                let mut expected = expected.clone();
                expected.any(|it| (it.0, it.1.name) == (tool, secret))
            }),
        &format!("{released:?}"),
    );
    for (tool, secret) in released {
        transcript.say(&format!("secret.released  {secret:<16} to {tool}"));
    }
    transcript.check(
        "each of these entries names the agent",
        releases(&entries(stage).await?).all(|entry| {
            entry
                .detail
                .get("agent")
                .is_some_and(|id| id == stage.agent.id.as_str())
        }),
        "one does not",
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
    let entries = entries(stage).await?;
    let releases = releases(&entries).count();
    let blocked = entries.iter().filter(|it| it.action == "leak.blocked");
    let blocked = blocked.count();
    transcript.check(
        "every release is in the audit, and so is every leak that was blocked",
        releases > 0 && blocked > 0,
        &format!("{} entries", entries.len()),
    );
    transcript.say(&format!(
        "{} entries: {releases} releases, {blocked} blocked leaks",
        entries.len(),
    ));
    let report = stage.platform.vaults().audit_verify(None).await?;
    transcript.check(
        "the audit chain verifies",
        report.is_clean(),
        &format!("{} findings", report.findings_total),
    );
    let mut found = Vec::new();
    for credential in &stage.credentials {
        found.extend(files_with(folder, credential.value.as_bytes())?);
    }
    transcript.check(
        "no byte of a credential is in the database or its log",
        found.is_empty(),
        &found.join(", "),
    );
    transcript.check(
        "this transcript does not hold a credential",
        !stage
            .credentials
            .iter()
            .any(|credential| transcript.contains(&credential.value)),
        "it does",
    );
    Ok(())
}

/// Returns how many requests each upstream received.
fn requests(stage: &Stage) -> [usize; 4] {
    stage.upstreams.all().map(|it| it.requests().len())
}

/// Returns the app's audit, newest entry first.
async fn entries(stage: &Stage) -> Result<Vec<AuditEntry>, Failure> {
    let query = AuditQuery {
        app_id: Some(stage.app.id),
        limit: Some(1000),
        ..AuditQuery::default()
    };
    Ok(stage.platform.vaults().audit_entries(query).await?.entries)
}

/// Selects the entries about secrets that a tool received. Other entries of the same action are
/// about refusals.
fn releases(entries: &[AuditEntry]) -> impl DoubleEndedIterator<Item = &AuditEntry> {
    entries.iter().filter(|entry| {
        entry.action == action::SECRET_RELEASED && entry.outcome == outcome::AUTHORISED
    })
}

/// Returns each pair of tool and secret once, in the order of the first release.
fn released(entries: &[AuditEntry]) -> Vec<(String, String)> {
    let mut released = Vec::new();
    for entry in releases(entries).rev() {
        if let (Actor::Tool { name, .. }, Some(subject)) = (&entry.actor, &entry.subject) {
            // The id of a secret begins with its vault.
            let secret = subject.id.rsplit('/').next().unwrap_or_default();
            let pair = (name.clone(), secret.to_owned());
            if !released.contains(&pair) {
                released.push(pair);
            }
        }
    }
    released
}

/// Whether the program threw a `ToolError` with this code and this beginning of the message.
fn thrown(report: &RunReport, expected: &str, expected_message: &str) -> bool {
    matches!(&report.outcome, Err(RunError::Threw { name, code: Some(code), message, .. })
        if name == "ToolError" && code == expected && message.starts_with(expected_message))
}

/// Returns the files in `folder` that contain `needle`.
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
