//! Runs a guest of `tests/guests/` on a platform of its own, the way its header says, and tells what came of it.

use std::path::Path;

use serde_json::Value;
use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform, RunError, StartError};
use tavora_host::runtime::LoadError;
use tavora_host::runtime::inspection::Class;
use tavora_tests::fixture::Fixture;

use super::hostile_guests::{Case, Outcome};

/// Limits small enough that a test of one ends soon.
const LIMITS: &str = "[limits.agent]\ncpu_ms = 500\nwall_clock_ms = 10000\n[limits.tool]\ncpu_ms = 500\nwall_clock_ms = 10000\n";

/// The name under which a tool is listed.
const TOOL: &str = "hostile";

pub(crate) async fn run_guest(case: &Case) -> Outcome {
    match case.load_as {
        Class::Agent => run_agent(case).await,
        Class::Tool => run_tool(case).await,
    }
}

async fn run_agent(case: &Case) -> Outcome {
    let fixture = Fixture::start(LIMITS).await;
    let agent = match fixture.platform.load_agent(&case.bytes) {
        Ok(agent) => agent,
        Err(error) => return not_loaded(error),
    };
    let run = AgentRun::new(fixture.app.id, "");
    match fixture.platform.run_in(&agent, run).await.outcome {
        Ok(json) => Outcome::Ok(json_value(json.get())),
        Err(RunError::Limit(hit)) => Outcome::Limit(hit.limit.to_owned()),
        Err(RunError::Threw { name, .. }) => Outcome::Threw(name),
        Err(RunError::InvalidResult(_)) => Outcome::InvalidResult,
        Err(RunError::Failed(_)) => Outcome::Trapped,
        Err(other) => panic!("{}: {other}", case.name),
    }
}

async fn run_tool(case: &Case) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("tool.wasm"), &case.bytes).expect("writable");
    let fixture = Fixture::start("").await;
    for name in &case.vault {
        fixture.put(name, "value-of-the-hostile-secret").await;
    }
    let platform = match Platform::start(fixture.vaults().clone(), &config(case, folder.path()), None).await {
        Ok(platform) => platform,
        Err(StartError::Load { source, .. }) => return not_loaded(source),
        Err(StartError::DescribeLimit { hit, .. }) => return Outcome::Limit(hit.limit.to_owned()),
        Err(error) => return Outcome::NotLoaded(error.to_string()),
    };
    let mut outcome = Outcome::Trapped;
    for (operation, input) in &case.calls {
        let identity = AgentRun::new(fixture.app.id, "").identity;
        outcome = match platform.call_tool(identity, TOOL, operation, input).await {
            Ok(json) => Outcome::Ok(json_value(&json)),
            Err(error) => Outcome::Error(error.code),
        };
    }
    outcome
}

fn config(case: &Case, folder: &Path) -> Config {
    let component = folder.join("tool.wasm");
    let toml = format!("{LIMITS}[tools.{TOOL}]\ncomponent = {component:?}\nsecrets = {:?}\n", case.grants);
    Config::parse(&toml).expect("valid")
}

fn not_loaded(error: LoadError) -> Outcome {
    Outcome::NotLoaded(error.to_string())
}

fn json_value(text: &str) -> Value {
    serde_json::from_str(text).expect("the platform passes on JSON only")
}
