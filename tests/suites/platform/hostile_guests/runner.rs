//! Runs one hostile guest on a real platform and reports what happened. It does not know what
//! should happen.

use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform, RunError, StartError};
use tavora_host::runtime::LoadError;
use tavora_host::runtime::inspection::Class;
use tavora_tests::fixture::{CANARY, Fixture, component_cache, worker};

use super::case::{Case, Outcome};

/// The usual limits, with two exceptions: an endless loop ends sooner, and the log is small enough
/// for the slowest flood to fill within that time.
const LIMITS: &str =
    "[limits.agent]\ncpu_ms = 300\nmax_log_bytes = 32768\n[limits.tool]\ncpu_ms = 300\n";

/// The name of a guest of the trusted class.
const TOOL: &str = "guest";

/// A platform for [`run_guest`], which many guests can share.
pub(super) async fn start_fixture() -> Fixture {
    Fixture::without_secret(LIMITS).await
}

/// Loads and runs `case`.
pub(super) async fn run_guest(fixture: &Fixture, case: &Case) -> Outcome {
    let outcome = match case.load_as {
        Class::Agent => run_agent(fixture, case).await,
        Class::Tool => run_tool(fixture, case).await,
    };
    assert!(
        !format!("{outcome:?}").contains(CANARY),
        "{}: the credential leaked",
        case.name
    );
    outcome
}

/// Only loads `case`, as the platform loads it.
pub(super) async fn load_guest(fixture: &Fixture, case: &Case) -> Result<(), LoadError> {
    match case.load_as {
        Class::Agent => fixture
            .platform
            .load_agent(case.bytes.clone())
            .await
            .map(drop),
        Class::Tool => match start_with_tool(fixture, case).await {
            Ok(_) => Ok(()),
            Err(StartError::Load { source, .. }) => Err(source),
            Err(error) => panic!("{}: {error}", case.name),
        },
    }
}

async fn run_agent(fixture: &Fixture, case: &Case) -> Outcome {
    let agent = match fixture.platform.load_agent(case.bytes.clone()).await {
        Ok(agent) => agent,
        Err(error @ LoadError::DoesNotFit(_)) => return Outcome::NotLoaded(error.to_string()),
        Err(error) => panic!("{}: {error}", case.name),
    };
    let run = AgentRun::new(fixture.app.id, "the program");
    match fixture.platform.run_in(&agent, run).await.outcome {
        Ok(json) => Outcome::Ok(serde_json::from_str(json.get()).expect("a result is JSON")),
        Err(RunError::Limit(hit)) => Outcome::Limit(hit.limit.to_owned()),
        Err(RunError::Threw { name, .. }) => Outcome::Threw(name),
        Err(RunError::InvalidResult(_)) => Outcome::InvalidResult,
        Err(RunError::Failed(_)) => Outcome::Trapped,
        Err(error) => panic!("{}: {error}", case.name),
    }
}

async fn run_tool(fixture: &Fixture, case: &Case) -> Outcome {
    for name in &case.vault {
        fixture.put(name, CANARY).await;
    }
    let platform = match start_with_tool(fixture, case).await {
        Ok(platform) => platform,
        Err(StartError::Describe { reason, .. }) => return limit_named_in(&reason),
        Err(error) => return Outcome::NotLoaded(format!("{error:#}")),
    };
    let mut outcome = None;
    for (operation, input) in &case.calls {
        let identity = AgentRun::new(fixture.app.id, "").identity;
        outcome = Some(platform.call_tool(identity, TOOL, operation, input).await);
    }
    match outcome.unwrap_or_else(|| panic!("{} was loaded, but its file has no call", case.name)) {
        Ok(json) => Outcome::Ok(serde_json::from_str(&json).expect("an answer is JSON")),
        Err(error) => {
            assert!(
                !error.message.contains(CANARY),
                "{}: the credential leaked",
                case.name
            );
            Outcome::Error(error.code, error.message)
        }
    }
}

/// A platform that lists `case` as a tool.
async fn start_with_tool(fixture: &Fixture, case: &Case) -> Result<Platform, StartError> {
    let component = fixture.folder.path().join("guest.wasm");
    std::fs::write(&component, &case.bytes).expect("the folder is writable");
    let config = format!(
        "{LIMITS}[tools.{TOOL}]\ncomponent = {component:?}\nreveal = {:?}\n",
        case.grants
    );
    let mut config = Config::parse(&config).expect("the configuration is valid");
    config.worker = worker();
    Platform::start(fixture.vaults().clone(), &config, Some(&component_cache())).await
}

/// The limit in a sentence like `the limit limits.tool.cpu_ms (300) was hit`.
fn limit_named_in(reason: &str) -> Outcome {
    reason
        .split_whitespace()
        .find(|word| word.starts_with("limits."))
        .map_or(Outcome::NotLoaded(reason.to_owned()), |limit| {
            Outcome::Limit(limit.to_owned())
        })
}
