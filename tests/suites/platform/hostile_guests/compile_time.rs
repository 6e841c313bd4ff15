//! Components that agents supply to keep the inspection or the compiler busy, or to fill memory.
//! They are too large for files, so they are made here. Each costs at most what a worker may use,
//! and gives one sentence.

mod bombs;

use std::process::Command;

use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform};
use tavora_host::runtime::inspection::Class;
use tavora_host::runtime::worker::Worker;
use tavora_tests::fixture::{Fixture, worker};

use bombs::agent_with;

/// The limits of a worker in these tests: enough for everything honest here, and soon used up.
const SMALL: &str = "[limits.component]\nworker_cpu_ms = 4000\nworker_memory_bytes = 268435456\n\
                     max_compiled_bytes = 67108864\n";

/// Runs in a process of its own, because the memory of other tests would be counted.
#[test]
fn a_bomb_costs_its_worker_and_one_sentence_with_the_limits_name() {
    let name = "hostile_guests::compile_time::bombs_cost_sentences_and_little_memory";
    let alone = Command::new(std::env::current_exe().expect("it runs"))
        .args([name, "--exact", "--ignored"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a_bomb_costs_its_worker_and_one_sentence_with_the_limits_name"]
async fn bombs_cost_sentences_and_little_memory() {
    let fixture = Fixture::without_secret(SMALL).await;
    let bombs = bombs::all();
    let before = resident_bytes();
    for bomb in bombs {
        let said = match fixture.platform.load_agent(bomb.bytes.clone()).await {
            Ok(agent) => {
                let run = AgentRun::new(fixture.app.id, "");
                let outcome = fixture.platform.run_in(&agent, run).await.outcome;
                assert!(outcome.is_ok(), "{}: {outcome:?}", bomb.name);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        assert!(bomb.is_right(said.as_deref()), "{}: {said:?}", bomb.name);
        let lines = said.unwrap_or_default().lines().count();
        assert!(lines <= 1, "{}", bomb.name);
    }
    // The host itself keeps only the code of the accepted components.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_inspect_has_the_same_bounds() {
    let config = Config::parse(SMALL).expect("valid");
    let inspector = Worker::new(&worker(), &config.limits);
    for bomb in bombs::all() {
        let said = match inspector.inspect(bomb.bytes.clone()).await {
            Ok(inspection) => {
                let refusal = inspection.refusal_for(Class::Agent);
                refusal.map(|refusal| refusal.to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        assert!(bomb.is_right(said.as_deref()), "{}: {said:?}", bomb.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_of_a_worker_is_kept_and_named() {
    for (setting, bytes) in [
        ("worker_cpu_ms = 1000", bombs::slow()),
        ("worker_wall_clock_ms = 1", bombs::slow()),
        ("worker_memory_bytes = 40000000", bombs::slow()),
        ("max_compiled_bytes = 4096", agent_with("")),
        ("max_expanded_types = 3", agent_with("")),
        ("max_expanded_instances = 0", agent_with("")),
    ] {
        let config = Config::parse(&format!("[limits.component]\n{setting}\n")).expect("valid");
        let inspector = Worker::new(&worker(), &config.limits);
        let said = match inspector.inspect(bytes).await {
            Ok(inspection) => {
                let refusal = inspection.refusal_for(Class::Agent);
                refusal.expect(setting).to_string()
            }
            Err(error) => error.to_string(),
        };
        let key = setting.split(' ').next().expect("a key");
        assert!(said.contains(&format!("limits.component.{key}")), "{said}");
    }
}

/// Loads a slow component and then a quick one. Returns the name of the one that is ready first.
async fn first_ready(config: &str) -> &'static str {
    let fixture = Fixture::without_secret(config).await;
    let (slow, quick) = (bombs::slow(), agent_with(""));
    let (ready, mut order) = tokio::sync::mpsc::unbounded_channel();
    let load = async |bytes: Vec<u8>, name: &'static str| {
        let _ = fixture.platform.load_agent(bytes).await;
        ready.send(name).expect("it is received");
    };
    tokio::join!(load(slow, "slow"), load(quick, "quick"));
    order.recv().await.expect("both are ready")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_holds_up_no_other_load() {
    assert_eq!(first_ready(SMALL).await, "quick");
    let one = format!("[limits]\nmax_concurrent_compilations = 1\n{SMALL}");
    assert_eq!(first_ready(&one).await, "slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_waiting_ends_the_worker_and_its_turn() {
    let one = "[limits]\nmax_concurrent_compilations = 1\n";
    let fixture = Fixture::without_secret(one).await;
    let given_up = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        fixture.platform.load_agent(bombs::slow()),
    );
    assert!(
        given_up.await.is_err(),
        "the slow component was ready at once"
    );
    let loaded = fixture.platform.load_agent(agent_with("")).await;
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_compiled_is_not_compiled_again() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let fixture = Fixture::without_secret("").await;
    let mut config = Config::parse(SMALL).expect("valid");
    config.worker = worker();
    let vaults = fixture.vaults().clone();
    let platform = Platform::start(vaults, &config, Some(cache.path()))
        .await
        .expect("it starts");
    let modules = || {
        let compilers = std::fs::read_dir(cache.path().join("engine/modules"));
        let Some(compiler) = compilers.ok().and_then(Iterator::last) else {
            return 0;
        };
        let compiler = compiler.expect("readable");
        let files = std::fs::read_dir(compiler.path()).expect("readable");
        let names = files.map(|file| file.expect("readable").path());
        names.filter(|name| name.extension().is_none()).count()
    };
    let own = modules();
    let bytes = agent_with("");
    for _ in 0..2 {
        let loaded = platform.load_agent(bytes.clone()).await;
        assert!(loaded.is_ok(), "{:?}", loaded.err());
        assert_eq!(modules(), own + 1, "host and worker compile alike");
        let staged = std::fs::read_dir(cache.path().join("staging")).expect("made");
        assert_eq!(staged.count(), 0);
    }
}

/// The memory of this process that is in use.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split(' ').nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4_096
}
